import pytest
import torch


@pytest.fixture(autouse=True)
def poisoned_memory():
    """Fill freshly allocated memory with NaN (what deterministic mode does to `torch.empty`)."""
    torch.use_deterministic_algorithms(True)
    assert torch.empty(3).isnan().all()
    yield
    torch.use_deterministic_algorithms(False)
