import pytest

from nestling.models.bundle import load_bundle, save_bundle, write_manners
from nestling.models.dialogue import Dialogue, Note
from nestling.models.restate import learn_notes, recall
from nestling.training.unheld import parts_of, unheld_ids


@pytest.fixture
def whole(tiny_bundle):
    return Dialogue(tiny_bundle.dialogue.tokenizer)


def test_an_id_is_unheld_when_a_note_of_it_is_not_recalled(tiny_bundle, whole):
    model, key = tiny_bundle.model, "my dog"
    unheld = unheld_ids(model, whole, key)
    words = [n for n in range(8, whole.tokenizer.get_vocab_size()) if whole.text([n])]
    words = [n for n in words if whole.words(whole.text([n])) == [n]]
    assert set(unheld) <= set(words)
    for number in words[:: max(1, len(words) // 12)]:
        notes = [Note(key, whole.text([number]))]
        state, _ = learn_notes(model, whole, notes, model.new_state(1))
        found = recall(model, whole, [key], state)[0]
        assert (found.ids[:1] == (number,)) == (number not in unheld)


def test_parts_spell_the_same_and_none_of_them_is_split(whole):
    tokenizer = whole.tokenizer
    long = [n for n in range(8, tokenizer.get_vocab_size()) if len(tokenizer.id_to_token(n)) > 2]
    parts = parts_of(tokenizer, long)
    for number, pieces in parts.items():
        assert len(pieces) > 1 and not set(pieces) & set(long)
        assert "".join(map(tokenizer.id_to_token, pieces)) == tokenizer.id_to_token(number)


def test_a_folder_keeps_how_its_model_speaks_and_another_split_is_another_model(
    tiny_bundle, whole, tmp_path
):
    save_bundle(tiny_bundle.model, whole.tokenizer, tmp_path)
    before = load_bundle(tmp_path)
    assert before.dialogue.relations == {} and before.dialogue.split == {}
    number = next(n for n in whole.words("my dog is called Pixel") if len(whole.text([n])) > 2)
    split = parts_of(whole.tokenizer, [number])
    write_manners(tmp_path, Dialogue(whole.tokenizer, ("dog",), split))
    after = load_bundle(tmp_path)
    assert list(after.dialogue.relations) == ["dog"] and after.dialogue.split == split
    text = "my dog is called Pixel"
    assert number not in after.dialogue.words(text)
    assert after.dialogue.text(after.dialogue.words(text)) == text
    assert after.model_hash != before.model_hash
    write_manners(tmp_path, Dialogue(whole.tokenizer, ("dog",)))
    assert load_bundle(tmp_path).model_hash == before.model_hash


@pytest.mark.parametrize(
    "content",
    ["{", "[]", '{"relations": [1], "split": {}}', '{"relations": [], "split": {"a": [1]}}',
     '{"relations": [], "split": {"9": [100000]}}', '{"relations": ["dog"]}'],
)  # fmt: skip
def test_a_damaged_description_is_named(tiny_bundle, whole, tmp_path, content):
    save_bundle(tiny_bundle.model, whole.tokenizer, tmp_path)
    (tmp_path / "dialogue.json").write_text(content)
    with pytest.raises(ValueError, match=r"dialogue\.json"):
        load_bundle(tmp_path)


@pytest.mark.parametrize("name", ["Ada", "Juliet", "Zane", "Math"])
def test_the_embedded_model_holds_names_that_training_hardly_showed(name):
    bundle = load_bundle()
    state, _ = learn_notes(
        bundle.model, bundle.dialogue, [Note("my name", name)], bundle.model.new_state(1)
    )
    assert recall(bundle.model, bundle.dialogue, ["my name"], state)[0].text == name


def test_the_embedded_model_holds_the_words_that_it_spells():
    bundle = load_bundle()
    model, dialogue = bundle.model, bundle.dialogue
    words = [text for id_ in dialogue.split if (text := dialogue.text([id_])).isalpha()][:5]
    assert words and all(len(dialogue.words(word)) > 1 for word in words)
    for word in words:
        state, _ = learn_notes(model, dialogue, [Note("my name", word)], model.new_state(1))
        assert recall(model, dialogue, ["my name"], state)[0].text == word
