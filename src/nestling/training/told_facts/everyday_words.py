"""Lists of everyday words beside those of `word_lists`. Data only, no logic."""

from nestling.training.told_facts.word_lists import items

NOUNS = items(
    """
apple, arrow, attic, axe, bag, ball, balloon, bamboo, banana, bark, barn, basket, bath, battery,
beach, bean, beard, bed, bell, belt, bench, berry, blanket, board, bone, book, boot, bottle, bowl,
box, branch, brass, bread, brick, bridge, broom, brush, bucket, bus, bush, butter, button, cabin,
cage, cake, camera, candle, cannon, canvas, cap, card, carpet, carrot, castle, chain, chair, chalk,
cheese, cherry, chess, chest, chimney, circle, circus, clay, cliff, clock, cloth, cloud, coal,
coat, coin, collar, comb, copper, cork, corner, cotton, cow, crab, cradle, cream, crown, cup,
curtain, cushion, desk, diamond, dice, dinner, dish, door, drawer, dress, drum, duck, dust, eagle,
ear, earth, egg, elbow, engine, envelope, eye, fan, farm, feather, fence, fern, field, fire, fish,
flag, flame, flood, floor, flour, flute, fog, forest, fork, fountain, frame, frog, fruit, garage,
garden, gate, ghost, glass, glove, glue, goat, gold, goose, grape, grass, gravel, guitar, hail,
hammer, hammock, harbour, harvest, hat, hay, heart, hedge, helmet, hill, hinge, honey, hook, horn,
hut, ice, ink, iron, island, ivy, jacket, jam, jar, jelly, jewel, jug, juice, kettle, key, kite,
knee, knife, knot, ladder, lake, lamp, lantern, lawn, leaf, leather, lemon, lens, letter, lid,
light, lime, linen, lion, lock, log, map, marble, market, mask, mat, match, meadow, meal, medal,
melon, milk, mill, mint, mirror, mist, money, moon, moss, mountain, mouse, mud, mug, mushroom,
music, nail, napkin, neck, needle, nest, net, newspaper, night, nose, notebook, nut, oak, oar, oil,
onion, orange, orchard, oven, owl, paint, pan, paper, parcel, park, path, peach, pear, pebble, pen,
pencil, pepper, perfume, piano, picnic, picture, pie, pillow, pin, pipe, plate, plum, pocket, pond,
porch, postcard, pot, potato, powder, puddle, pump, puzzle, quilt, radio, rain, rake, razor,
ribbon, rice, ring, river, road, robe, rock, roof, root, rope, rose, rubber, rug, ruler, saddle,
sail, salad, salt, sand, sandal, sauce, saw, scarf, school, scissors, screw, sea, seed, shadow,
sheep, shelf, shell, ship, shirt, shoe, shop, shovel, silk, silver, sink, skirt, sky, sleeve,
smoke, snail, snow, soap, sock, sofa, song, soup, spade, spider, sponge, spoon, square, squirrel,
stage, stair, stamp, star, station, steam, steel, stone, storm, stove, straw, string, sugar, suit,
sun, sweater, swing, sword, table, tape, tea, tent, thread, thunder, ticket, tile, timber, toast,
tomato, tool, torch, towel, tower, toy, train, tray, tree, tunnel, umbrella, valley, vase, veil,
velvet, vest, village, vine, violin, wagon, wall, wallet, walnut, water, wave, wax, weather, wheat,
wheel, whistle, willow, wind, window, wine, wing, winter, wire, wolf, wood, wool, yard, zip
"""
)

ADJECTIVES = items(
    """
amber, ancient, angry, annual, awake, bare, big, bitter, black, blank, blue, bold, brave, bright,
broken, brown, busy, calm, careful, cheap, clean, clear, clever, cold, cosy, crisp, curious, daily,
damp, dark, deep, dry, dull, early, easy, empty, extra, fair, faint, famous, fast, fine, firm,
flat, fresh, friendly, full, funny, gentle, gloomy, golden, good, grand, great, green, grey, half,
happy, hard, heavy, high, hollow, honest, hot, huge, icy, kind, large, late, lazy, left, light,
little, local, lonely, long, loud, low, loyal, lucky, mad, mild, modern, narrow, neat, new, nice,
noisy, odd, old, open, orange, pale, patient, pink, plain, polite, poor, private, proud, public,
pure, purple, quick, quiet, rare, raw, ready, red, rich, right, rough, round, royal, rusty, sad,
safe, salty, secret, sharp, shiny, short, shy, silent, silly, silver, simple, slim, slow, small,
smooth, soft, solid, sour, spare, special, spicy, stale, steep, still, strange, strong, sunny,
sweet, tall, tame, thick, thin, tidy, tight, tiny, tired, tough, true, ugly, upper, useful, warm,
weak, weekly, wet, white, wide, wild, wise, wooden, yellow, young
"""
)

GERUNDS = items(
    """
acting, archery, baking, birdwatching, boating, bouldering, bowling, boxing, brewing beer, camping,
carving wood, climbing, collecting stamps, cooking, crocheting, cycling, dancing, darts, diving,
doing crosswords, doing puzzles, drawing, driving at night, embroidery, fencing, fishing, fixing
old radios, flying kites, foraging, gardening, geocaching, going to museums, going to the cinema,
hiking, horse riding, ice skating, jogging, juggling, kayaking, keeping bees, knitting, long walks,
making candles, making pottery, meditating, mountain biking, origami, painting, parkour,
photography, picking mushrooms, playing cards, playing chess, pottery, programming, reading,
reading in bed, restoring furniture, rowing, running, sailing, scuba diving, sewing, singing,
skateboarding, skiing, sketching, sleeping in, snowboarding, solving riddles, stargazing, surfing,
swimming, swimming in cold water, taking photos, theatre, travelling by train, trail running,
visiting castles, volleyball, walking in the rain, watching birds, watching old films,
watercolours, weaving, weightlifting, wild camping, woodworking, writing, writing letters, writing
poems, yoga
"""
)

CONTAINERS = items(
    """
attic, backpack, basement, basket by the door, bathroom cabinet, bedside table, biscuit tin, blue
bag, blue box, boot of the car, bottom drawer, bread bin, bookcase, car, cellar, chest of drawers,
closet, coat pocket, cupboard, cupboard under the stairs, desk, desk drawer, filing cabinet,
freezer, fridge, garage, garden shed, glass jar, glove compartment, green folder, guest room, hall,
hall cupboard, handbag, kitchen, kitchen drawer, laundry basket, laundry room, left drawer, letter
box, loft, medicine cabinet, metal box, middle drawer, office, old suitcase, pantry, piano stool,
red folder, safe, shed, shoe box, side pocket of my bag, spare room, storage room, suitcase,
toolbox, top drawer, trunk, utility room, wardrobe, wicker basket, wine rack, wooden chest,
workshop, yellow envelope, zip pocket
"""
)

SURFACES = items(
    """
balcony, bedside table, bench, bookshelf, bottom shelf, chest of drawers, coffee table, counter,
desk, dining table, doormat, fireplace, floor, fridge, hall table, hook by the door, key rack,
kitchen counter, kitchen table, landing, lower shelf, mantelpiece, noticeboard, nail behind the
door, passenger seat, piano, roof, second shelf, shelf, shelf above the sink, shelf in the garage,
side table, sofa, stairs, table, top shelf, upper shelf, wall, washing machine, window sill,
workbench
"""
)

LANDMARKS = items(
    """
apple tree, back door, barbecue, bathtub, bed, big plant, bike rack, bins, boiler, bookcase, chair,
clock, coat rack, compost heap, cooker, cushion, desk, doormat, dustbin, fence, flower pot, flower
vase, freezer, fridge, front door, fruit bowl, garden gnome, gate, geranium pot, grill, hedge,
kettle, lamp, lavender pot, lawn mower, mailbox, mat, mattress, microwave, mirror, oven, phone
charger, piano, picture of the lake, plant pot, printer, radiator, rain barrel, rosemary bush, rug,
second brick, sink, sofa, stairs, stone frog, stove, television, toaster, washing machine, watering
can, woodpile
"""
)

BUILDINGS = items(
    """
library, town hall, station, bakery, post office, school, church, supermarket, pharmacy, museum,
theatre, hospital, hotel, bank, office, gym, swimming pool, bus stop, park, playground, fountain,
cinema, market, bridge, cafe, pub, corner shop, garage, petrol station, barber shop, kindergarten,
harbour, stadium, fire station, university, courthouse, cemetery, windmill, car park, block of
flats
"""
)

PLACES_AT = items(
    """
the office, home, work, my mother's, my brother's, my parents' house, the dry cleaner's, the
garage, the repair shop, school, the gym, Ana's, Tom's flat, the neighbours', the summer house, the
bank, the lost property office, the reception, the studio, the club
"""
)

MUSIC = items(
    """
jazz, blues, rock, punk, techno, house, hip-hop, rap, reggae, ska, soul, funk, disco, folk,
country, bluegrass, opera, classical, baroque, choral, gospel, metal, heavy metal, indie, indie
rock, pop, K-pop, salsa, samba, bossa nova, tango, flamenco, swing, bebop, ambient, electronic,
trance, drum and bass, dub, grunge, hard rock, progressive rock, singer-songwriters, sea shanties,
film scores, fado, klezmer, Afrobeat, chamber, minimal, synthwave, lo-fi, rhythm and blues, string
quartets, organ
"""
)

STUDIES = items(
    """
physics, law, medicine, biology, chemistry, mathematics, history, philosophy, economics, computer
science, architecture, psychology, sociology, linguistics, literature, geography, geology,
astronomy, political science, art history, music, theology, anthropology, archaeology, journalism,
business, engineering, mechanical engineering, electrical engineering, civil engineering, nursing,
dentistry, veterinary medicine, pharmacy, marine biology, statistics, data science, education,
social work, graphic design, fashion, film, drama, Spanish, French, German, English, Japanese,
Latin, Chinese, environmental science, agriculture, forestry, food science, urban planning,
international relations
"""
)

MEDICINES = items(
    """
ibuprofen, aspirin, paracetamol, insulin, metformin, ramipril, atorvastatin, simvastatin,
omeprazole, amoxicillin, penicillin, cetirizine, loratadine, levothyroxine, sertraline, citalopram,
melatonin, vitamin D, vitamin C, iron tablets, zinc, magnesium, folic acid, warfarin, bisoprolol,
amlodipine, salbutamol, prednisone, hydrocortisone cream, eye drops, nose spray, a blood thinner,
beta blockers
"""
)

ILLNESSES = items(
    """
asthma, diabetes, type 1 diabetes, type 2 diabetes, migraines, high blood pressure, low blood
pressure, hay fever, eczema, psoriasis, arthritis, anaemia, epilepsy, insomnia, tinnitus, sciatica,
a bad back, a bad knee, coeliac disease, gout, vertigo, acid reflux, an underactive thyroid,
dyslexia, ADHD, colour blindness, short sight, a slipped disc, flat feet, tennis elbow, sleep
apnoea
"""
)

DIETS = items(
    """
vegan, vegetarian, pescatarian, gluten-free, lactose-free, dairy-free, sugar-free, halal, kosher,
paleo, keto, low-carb, mostly plants, raw food, Mediterranean, flexitarian, low-salt, nut-free,
low-fat, no pork, no red meat, only fish and vegetables, dairy-free and egg-free
"""
)

COFFEE_WAYS = items(
    """
black, white, with milk, with oat milk, with soy milk, with a dash of milk, with two sugars, with
one sugar, without sugar, with oat milk and no sugar, with cream, with cinnamon, very strong,
decaf, iced, with honey, black with one sugar, with almond milk, extra hot, with a lot of milk,
unsweetened, with milk and sugar, as an espresso, as a flat white, weak, lukewarm, with a spoon of
sugar
"""
)

TEA_WAYS = items(
    """
black, with milk, with lemon, with honey, with sugar, without sugar, green, very weak, strong, with
ginger, with milk and two sugars, with a slice of lemon, with mint, iced, unsweetened, milk first,
with a spoon of honey, with a splash of milk, piping hot, from a pot
"""
)

TRANSPORT = items(
    """
bus, train, bike, car, tram, metro, underground, ferry, scooter, electric scooter, motorbike, taxi,
boat, skateboard, subway, night bus, carpool, foot, cable car, regional train, moped, e-bike, van
"""
)

NATIONALITIES = items(
    """
Portuguese, Spanish, French, German, Italian, Greek, Austrian, Swiss, Belgian, Dutch, Danish,
Norwegian, Swedish, Finnish, Icelandic, Irish, Scottish, Welsh, English, British, Polish,
Hungarian, Romanian, Bulgarian, Croatian, Slovenian, Serbian, Estonian, Latvian, Lithuanian,
Ukrainian, Turkish, Georgian, Egyptian, Moroccan, Tunisian, Ghanaian, Nigerian, Kenyan, Ethiopian,
Canadian, American, Mexican, Cuban, Jamaican, Colombian, Peruvian, Bolivian, Chilean, Argentinian,
Brazilian, Israeli, Lebanese, Iranian, Pakistani, Indian, Nepali, Thai, Vietnamese, Malaysian,
Indonesian, Chinese, Mongolian, Korean, Japanese, Taiwanese, Australian, Samoan, Maltese
"""
)

COLLECTED = items(
    """
stamps, coins, postcards, records, vinyl, comics, shells, fossils, minerals, teapots, thimbles,
keyrings, snow globes, matchboxes, maps, watches, dolls, model trains, toy cars, badges, mugs,
bottle caps, beer mats, autographs, butterflies, cookbooks, sneakers, hats, corkscrews, fridge
magnets, tickets, feathers, marbles, typewriters, cameras, buttons, spoons, masks, chess sets,
cacti, banknotes
"""
)

RELIGIONS = items(
    """
Catholic, Protestant, Orthodox, Lutheran, Methodist, Baptist, Anglican, Muslim, Sunni, Shia,
Jewish, Buddhist, Hindu, Sikh, Jain, Taoist, Quaker, Mormon, agnostic, atheist, pagan,
Presbyterian, Baha'i
"""
)

STAR_SIGNS = items(
    """
Aries, Taurus, Gemini, Cancer, Leo, Virgo, Libra, Scorpio, Sagittarius, Capricorn, Aquarius, Pisces
"""
)

TOPPINGS = items(
    """
mushrooms, extra cheese, olives, onions, peppers, pepperoni, salami, ham, pineapple, anchovies,
tuna, artichokes, spinach, capers, bacon, basil, rocket, garlic, sweetcorn, goat's cheese,
gorgonzola, jalapenos, chicken, prawns, aubergine, courgette, dried tomatoes, pesto, egg, feta,
figs, walnuts
"""
)
