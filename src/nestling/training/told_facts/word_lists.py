"""Lists of common values: names, places, things to like. Data only, no logic."""


def items(text: str) -> tuple[str, ...]:
    """The comma-separated items of `text`, without repeats, in order."""
    return tuple(dict.fromkeys(" ".join(item.split()) for item in text.split(",") if item.strip()))


FIRST_NAMES = items(
    """
Ana, Maria, Elena, Sofia, Lucia, Carmen, Paula, Marta, Laura, Isabel, Diego, Pablo, Javier,
Carlos, Miguel, Luis, Jorge, Andres, Mateo, Santiago, Emma, Olivia, Charlotte, Amelia, Grace,
Lily, Alice, Ruby, Ella, Freya, Jack, Harry, Oliver, George, Noah, Leo, Arthur, Oscar, Henry,
Theo, James, William, Thomas, Edward, Robert, Samuel, Daniel, Peter, Simon, Andrew, Susan,
Karen, Linda, Barbara, Helen, Margaret, Janet, Ruth, Joan, Diane, Liam, Ethan, Mason, Logan,
Lucas, Jackson, Aiden, Carter, Wyatt, Owen, Ava, Mia, Harper, Evelyn, Abigail, Emily, Madison,
Scarlett, Aria, Chloe, Pierre, Antoine, Julien, Luc, Mathieu, Camille, Manon, Claire, Juliette,
Amelie, Hugo, Louis, Gabriel, Raphael, Etienne, Celine, Brigitte, Odile, Sylvie, Margot, Hans,
Karl, Jurgen, Stefan, Matthias, Lukas, Felix, Jonas, Anja, Greta, Heidi, Ingrid, Ursula, Sabine,
Katrin, Lena, Anke, Birgit, Dieter, Wolfgang, Lars, Sven, Bjorn, Erik, Magnus, Olaf, Nils,
Astrid, Freja, Sigrid, Linnea, Maja, Elsa, Torsten, Gunnar, Leif, Ragnhild, Solveig, Kari,
Mikko, Aino, Eero, Jukka, Pekka, Sanna, Tuomas, Veikko, Ilmari, Kaisa, Giulia, Francesca,
Chiara, Alessia, Bianca, Giovanni, Marco, Luca, Matteo, Lorenzo, Paolo, Enzo, Silvia, Roberta,
Fabio, Dario, Serena, Ornella, Ugo, Nino, Ivan, Dmitri, Sergei, Alexei, Nikolai, Boris, Yuri,
Anton, Pavel, Oleg, Olga, Natasha, Irina, Svetlana, Tatiana, Ludmila, Galina, Vera, Nadia,
Katya, Jakub, Piotr, Tomasz, Wojciech, Agnieszka, Zofia, Magda, Kasia, Ewa, Halina, Vaclav,
Jitka, Milos, Zdenek, Petra, Jana, Bohdan, Taras, Oksana, Yulia, Janos, Istvan, Zoltan, Ferenc,
Agnes, Ildiko, Eszter, Radu, Mihai, Ioana, Bogdan, Doina, Vlad, Stoyan, Desislava, Kalina,
Nikos, Yannis, Kostas, Dimitra, Eleni, Stavros, Thalia, Zoe, Mehmet, Ahmet, Emre, Ayse, Fatma,
Elif, Deniz, Yusuf, Leyla, Selim, Omar, Ali, Hassan, Hussein, Khalid, Tariq, Amina, Fatima,
Layla, Zainab, Nour, Samira, Rania, Huda, Karim, Bilal, Ibrahim, Mustafa, Youssef, Salma, Reza,
Darius, Cyrus, Parisa, Shirin, Nasrin, Golnaz, Arash, Babak, Mina, Raj, Amit, Vikram, Arjun,
Rohan, Sanjay, Anil, Deepak, Priya, Anjali, Kavita, Sunita, Meera, Lakshmi, Divya, Pooja, Neha,
Asha, Nisha, Ravi, Harpreet, Gurpreet, Manish, Kiran, Imran, Farah, Nasreen, Tahir, Shabnam,
Rashid, Wei, Ming, Jun, Hao, Lei, Xin, Yan, Mei, Ling, Hua, Xiaoming, Jia, Bo, Feng, Qing,
Haruto, Yuto, Sota, Kenji, Hiroshi, Takeshi, Akira, Yoko, Sakura, Hana, Aiko, Emi, Naoko, Keiko,
Yuki, Ren, Daichi, Minjun, Jisoo, Hyun, Seojun, Jiwoo, Eunji, Sungmin, Haneul, Nguyen, Linh,
Thuy, Minh, Quang, Trang, Bao, Somchai, Malee, Anong, Niran, Budi, Siti, Dewi, Agus, Putri,
Wayan, Ketut, Joko, Ratna, Jose, Andrea, Rosario, Amihan, Kwame, Kofi, Ama, Abena, Yaw, Akosua,
Efua, Chidi, Ngozi, Emeka, Adaeze, Ifeoma, Obinna, Tunde, Yemi, Folake, Bola, Segun, Amara,
Zuri, Wanjiru, Kamau, Njeri, Otieno, Achieng, Juma, Neema, Baraka, Thabo, Sipho, Nomsa, Lerato,
Zanele, Themba, Naledi, Mandla, Tendai, Rudo, Chipo, Selam, Abebe, Tigist, Dawit, Hirut, Aroha,
Tane, Mere, Kahu, Wiremu, Leilani, Kai, Keanu, Sione, Mele, Joao, Ines, Beatriz, Rui, Tiago,
Goncalo, Catarina, Rita, Thiago, Rafaela, Caio, Larissa, Luana, Vitoria, Sean, Niamh, Aoife,
Ciara, Declan, Fergus, Siobhan, Rhys, Dylan, Bronwyn, Gwen, Angus, Fiona, Ewan, Isla, Hamish,
Noa, Yael, Avi, Eitan, Tamar, Shira, Moshe, Rivka, Ezra, Miriam
"""
)

SURNAMES = items(
    """
Smith, Jones, Taylor, Brown, Wilson, Evans, Walker, Wright, Green, Hall, Wood, Clarke, Hughes,
Lewis, Edwards, Turner, Hill, Moore, Cooper, Ward, Morris, King, Baker, Harrison, Morgan, Allen,
Scott, Phillips, Watson, Parker, Bennett, Young, Cook, Shaw, Bailey, Kelly, Murphy, Byrne, Ryan,
Walsh, Doyle, Quinn, Campbell, Stewart, Fraser, Murray, Reid, Garcia, Lopez, Martinez, Gonzalez,
Perez, Sanchez, Ramirez, Torres, Flores, Rivera, Gomez, Diaz, Cruz, Reyes, Morales, Ortiz,
Gutierrez, Chavez, Ramos, Ruiz, Mendoza, Castillo, Vargas, Silva, Santos, Oliveira, Souza,
Pereira, Costa, Almeida, Ferreira, Carvalho, Rocha, Dias, Martin, Bernard, Dubois, Durand,
Leroy, Moreau, Laurent, Lefebvre, Michel, Fournier, Girard, Mercier, Dupont, Lambert, Bonnet,
Muller, Schmidt, Schneider, Fischer, Weber, Meyer, Wagner, Becker, Schulz, Hoffmann, Koch,
Bauer, Richter, Klein, Wolf, Neumann, Schwarz, Zimmermann, Braun, Kruger, Hansen, Johansen,
Olsen, Larsen, Andersen, Nilsson, Eriksson, Lindberg, Bergstrom, Sandberg, Holm, Dahl, Berg,
Haugen, Virtanen, Korhonen, Nieminen, Laine, Heikkinen, Rossi, Russo, Ferrari, Esposito,
Bianchi, Romano, Colombo, Ricci, Marino, Greco, Conti, Gallo, Mancini, Lombardi, Moretti,
Ivanov, Petrov, Sidorov, Smirnov, Volkov, Popov, Sokolov, Novak, Svoboda, Dvorak, Kowalski,
Nowak, Wisniewski, Zielinski, Kaminski, Nagy, Kovacs, Szabo, Horvath, Popescu, Ionescu,
Papadopoulos, Nikolaidis, Yilmaz, Kaya, Demir, Celik, Sahin, Haddad, Khoury, Nasser, Mansour,
Saleh, Aziz, Rahman, Khan, Ahmed, Malik, Hussain, Chaudhry, Patel, Sharma, Singh, Gupta, Kumar,
Reddy, Iyer, Nair, Mehta, Desai, Wang, Li, Zhang, Chen, Liu, Yang, Huang, Zhao, Wu, Zhou,
Tanaka, Suzuki, Sato, Watanabe, Yamamoto, Nakamura, Kobayashi, Kato, Kim, Lee, Park, Choi, Jung,
Tran, Pham, Hoang, Okafor, Adeyemi, Mensah, Owusu, Mwangi, Kamau, Dlamini, Nkosi, Abebe
"""
)

CITIES = items(
    """
London, Paris, Berlin, Madrid, Rome, Vienna, Prague, Warsaw, Budapest, Lisbon, Dublin, Oslo,
Stockholm, Copenhagen, Helsinki, Reykjavik, Amsterdam, Rotterdam, Utrecht, Brussels, Antwerp,
Ghent, Bruges, Luxembourg, Zurich, Geneva, Basel, Bern, Lausanne, Milan, Turin, Naples,
Florence, Venice, Bologna, Palermo, Verona, Genoa, Bari, Trieste, Barcelona, Valencia, Seville,
Bilbao, Malaga, Granada, Zaragoza, Porto, Braga, Coimbra, Faro, Lyon, Marseille, Toulouse, Nice,
Nantes, Bordeaux, Lille, Strasbourg, Rennes, Grenoble, Dijon, Munich, Hamburg, Cologne,
Frankfurt, Stuttgart, Leipzig, Dresden, Bremen, Hanover, Nuremberg, Freiburg, Heidelberg, Graz,
Linz, Salzburg, Innsbruck, Krakow, Gdansk, Poznan, Wroclaw, Lodz, Brno, Ostrava, Bratislava,
Debrecen, Szeged, Bucharest, Cluj, Sofia, Plovdiv, Varna, Belgrade, Zagreb, Split, Ljubljana,
Sarajevo, Skopje, Tirana, Athens, Thessaloniki, Patras, Istanbul, Ankara, Izmir, Antalya, Bursa,
Kyiv, Lviv, Odesa, Kharkiv, Minsk, Vilnius, Kaunas, Riga, Tallinn, Tartu, Tampere, Turku, Oulu,
Bergen, Trondheim, Stavanger, Tromso, Gothenburg, Malmo, Uppsala, Aarhus, Odense, Aalborg,
Edinburgh, Glasgow, Aberdeen, Dundee, Inverness, Manchester, Liverpool, Leeds, Sheffield,
Bristol, Birmingham, Newcastle, Nottingham, Leicester, Cardiff, Swansea, Belfast, Cork, Galway,
Limerick, York, Bath, Oxford, Cambridge, Brighton, Exeter, Norwich, Plymouth, New York, Boston,
Chicago, Seattle, Portland, Denver, Austin, Houston, Dallas, Miami, Atlanta, Philadelphia,
Detroit, Cleveland, Pittsburgh, Baltimore, Phoenix, Tucson, San Diego, San Francisco, Los
Angeles, Sacramento, Las Vegas, Salt Lake City, Boise, Omaha, Memphis, Nashville, New Orleans,
Charleston, Savannah, Toronto, Montreal, Vancouver, Calgary, Ottawa, Winnipeg, Halifax, Quebec,
Mexico City, Guadalajara, Puebla, Oaxaca, Havana, Kingston, San Juan, Panama City, Bogota,
Medellin, Cali, Quito, Lima, Cusco, La Paz, Santiago, Valparaiso, Buenos Aires, Cordoba,
Rosario, Mendoza, Montevideo, Sao Paulo, Rio de Janeiro, Salvador, Recife, Brasilia, Curitiba,
Cairo, Alexandria, Tunis, Algiers, Rabat, Casablanca, Marrakesh, Fez, Dakar, Accra, Kumasi,
Lagos, Abuja, Ibadan, Nairobi, Mombasa, Kampala, Kigali, Addis Ababa, Dar es Salaam, Lusaka,
Harare, Cape Town, Durban, Johannesburg, Pretoria, Windhoek, Maputo, Tel Aviv, Haifa, Amman,
Beirut, Dubai, Doha, Muscat, Tehran, Isfahan, Shiraz, Tbilisi, Yerevan, Baku, Almaty, Tashkent,
Samarkand, Karachi, Lahore, Islamabad, Delhi, Mumbai, Pune, Bangalore, Chennai, Hyderabad,
Kolkata, Jaipur, Kathmandu, Dhaka, Colombo, Yangon, Bangkok, Chiang Mai, Hanoi, Hue, Da Nang,
Phnom Penh, Kuala Lumpur, Penang, Singapore, Jakarta, Bandung, Surabaya, Manila, Cebu, Hong
Kong, Taipei, Shanghai, Beijing, Chengdu, Guangzhou, Shenzhen, Wuhan, Xian, Seoul, Busan,
Incheon, Tokyo, Osaka, Kyoto, Nagoya, Sapporo, Fukuoka, Kobe, Sendai, Sydney, Melbourne,
Brisbane, Perth, Adelaide, Hobart, Darwin, Auckland, Wellington, Dunedin
"""
)

COUNTRIES = items(
    """
France, Germany, Spain, Portugal, Italy, Greece, Austria, Switzerland, Belgium, Denmark, Norway,
Sweden, Finland, Iceland, Ireland, Scotland, Wales, England, Poland, Hungary, Romania, Bulgaria,
Croatia, Slovenia, Slovakia, Serbia, Albania, Estonia, Latvia, Lithuania, Ukraine, Turkey,
Georgia, Armenia, Egypt, Morocco, Tunisia, Senegal, Ghana, Nigeria, Kenya, Uganda, Rwanda,
Ethiopia, Tanzania, Zambia, Botswana, Namibia, Mozambique, Madagascar, South Africa, Canada,
Mexico, Cuba, Jamaica, Guatemala, Costa Rica, Panama, Colombia, Ecuador, Peru, Bolivia, Chile,
Argentina, Uruguay, Paraguay, Brazil, Israel, Jordan, Lebanon, Oman, Iran, Pakistan, India,
Nepal, Bhutan, Bangladesh, Sri Lanka, Thailand, Laos, Cambodia, Vietnam, Malaysia, Indonesia,
China, Mongolia, South Korea, Japan, Taiwan, Australia, New Zealand, Fiji, Samoa, Tonga, Malta,
Cyprus, Kazakhstan, Uzbekistan
"""
)

STREET_STEMS = items(
    """
Maple, Oak, Elm, Cedar, Willow, Birch, Chestnut, Hazel, Linden, Juniper, Church, Mill, Station,
Bridge, River, Lake, Hill, Park, Garden, Orchard, Meadow, Spring, Harbour, Market, Castle,
Abbey, King, Queen, Prince, Victoria, Albert, Wellington, Nelson, Baker, Cooper, Fisher, Mason,
Potter, Weaver, Sunset, Highland, Valley, Forest, Grove, Fox, Heron, Swan, Raven, Falcon,
Badger, Rosewood, Silver, Copper, Amber, Windmill, Quarry, Tannery, Chapel, Priory, Beacon,
North, South, East, West
"""
)
STREET_KINDS = ("Street", "Lane", "Road", "Avenue", "Close", "Drive", "Way", "Terrace")

JOBS = items(
    """
accountant, actor, actuary, air traffic controller, animator, archaeologist, architect,
archivist, astronomer, auditor, baker, banker, barber, barista, bartender, beekeeper, biologist,
bookbinder, bookkeeper, bookseller, botanist, brewer, bricklayer, builder, bus driver, butcher,
carpenter, cartographer, cashier, chef, chemist, chimney sweep, civil engineer, cleaner,
clockmaker, cobbler, comedian, composer, conductor, copywriter, courier, crane operator,
curator, dancer, data analyst, data scientist, decorator, dental hygienist, designer, detective,
dietician, diver, dog trainer, economist, editor, electrician, engineer, estate agent, event
planner, farmer, fashion designer, film editor, firefighter, fisherman, flight attendant,
florist, forester, game designer, gardener, geologist, glassblower, goldsmith, graphic designer,
historian, illustrator, insurance broker, interpreter, jeweller, journalist, judge, lab
technician, librarian, lifeguard, lighthouse keeper, locksmith, lorry driver, marine biologist,
mathematician, mechanic, midwife, miner, musician, nurse, nutritionist, optician, painter,
paramedic, park ranger, pharmacist, photographer, physicist, physiotherapist, pianist, pilot,
plasterer, plumber, poet, police officer, politician, postman, potter, printer, product manager,
programmer, psychologist, publisher, radio presenter, receptionist, researcher, roofer, sailor,
sculptor, secretary, security guard, set designer, shepherd, shopkeeper, singer, social worker,
software engineer, soldier, solicitor, sommelier, sound engineer, statistician, stonemason,
surgeon, surveyor, tailor, tattoo artist, tax adviser, taxi driver, tiler, tour guide, toy
maker, train driver, translator, travel agent, tree surgeon, truck driver, tutor, typist,
undertaker, upholsterer, vet, violin maker, waiter, watchmaker, weaver, web developer, welder,
window cleaner, wine merchant, writer, yoga instructor, zookeeper, zoologist
"""
)

FOODS = items(
    """
pizza, lasagne, risotto, carbonara, ravioli, gnocchi, sushi, ramen, tempura, udon, sashimi, miso
soup, pad thai, green curry, tom yum, pho, spring rolls, dim sum, dumplings, fried rice, kung
pao chicken, peking duck, bibimbap, kimchi, bulgogi, biryani, butter chicken, samosas, dal,
palak paneer, naan, dosa, tikka masala, vindaloo, falafel, hummus, shawarma, tabbouleh, kebab,
baklava, moussaka, souvlaki, tzatziki, paella, tapas, gazpacho, tortilla, churros, tacos,
burritos, enchiladas, quesadillas, guacamole, ceviche, empanadas, arepas, feijoada, burgers, hot
dogs, mac and cheese, fried chicken, pulled pork, cornbread, gumbo, jambalaya, clam chowder,
fish and chips, shepherd's pie, bangers and mash, roast beef, cottage pie, scones, porridge,
haggis, ratatouille, quiche, croissants, onion soup, crepes, beef stew, coq au vin, fondue,
raclette, schnitzel, goulash, pierogi, borscht, bratwurst, sauerkraut, potato salad, meatballs,
gravlax, pickled herring, couscous, tagine, jollof rice, injera, bobotie, pancakes, waffles,
omelette, mushroom soup, tomato soup, pumpkin pie, apple pie, cheesecake, tiramisu, chocolate
cake, brownies, grilled salmon, baked potatoes, lentil soup, stuffed peppers, eggplant parmesan,
lamb chops, mussels, oysters, lobster, crab cakes, avocado toast, garlic bread
"""
)

DRINKS = items(
    """
green tea, black tea, peppermint tea, chamomile tea, iced tea, bubble tea, chai, matcha,
rooibos, espresso, cappuccino, flat white, latte, iced coffee, mocha, black coffee, hot
chocolate, lemonade, orange juice, apple juice, tomato juice, carrot juice, grape juice,
pineapple juice, cranberry juice, mango lassi, ginger ale, root beer, cola, tonic water,
sparkling water, coconut water, kombucha, kefir, oat milk, almond milk, milkshake, red wine,
white wine, cider, stout, pale ale, wheat beer, mead, sherry, port, gin and tonic, mojito,
margarita, negroni, whisky sour, bloody mary, sangria, prosecco, champagne, sake, rum punch,
elderflower cordial, horchata, cocoa, barley tea, eggnog
"""
)

CLASSIC_BOOKS = items(
    """
Middlemarch, Dracula, Emma, Ulysses, Beloved, Dune, Frankenstein, Jane Eyre, Moby-Dick, The
Hobbit, The Odyssey, The Trial, Don Quixote, War and Peace, Anna Karenina, Great Expectations,
Little Women, Treasure Island, The Great Gatsby, Brave New World, Animal Farm, The Secret
Garden, Persuasion, Wuthering Heights, The Iliad, Siddhartha, The Stranger, Lolita, The Little
Prince, Watership Down
"""
)
CLASSIC_FILMS = items(
    """
Casablanca, Vertigo, Jaws, Alien, Psycho, Gladiator, Titanic, Amelie, Metropolis, The Godfather,
Spirited Away, Rear Window, The Matrix, Taxi Driver, Blade Runner, Chinatown, Rashomon,
Inception, Ratatouille, Paddington, The Third Man, Roman Holiday, Seven Samurai, Back to the
Future, Fargo, Lawrence of Arabia, My Neighbour Totoro, The Lion King, Finding Nemo, Toy Story
"""
)
CLASSIC_SONGS = items(
    """
Yesterday, Imagine, Hallelujah, Waterloo, Wonderwall, Africa, Hey Jude, Let It Be, Blackbird,
Jolene, Bohemian Rhapsody, Dancing Queen, Purple Rain, Moon River, Take On Me, Clair de Lune, La
Vie en Rose, Summertime, Fields of Gold, Space Oddity, Karma Police, Running Up That Hill,
Landslide, Clocks, Redemption Song, Respect, Superstition, Thunderstruck, Galway Girl, Auld Lang
Syne
"""
)
TITLE_ADJECTIVES = items(
    """
Silent, Golden, Broken, Hidden, Last, First, Crimson, Silver, Forgotten, Burning, Frozen,
Distant, Endless, Quiet, Restless, Velvet, Paper, Glass, Hollow, Winter, Midnight, Wandering,
Scarlet, Empty, Lonely, Electric, Secret, Wild, Salt, Painted, Northern, Blue, Drowned, Gentle,
Iron, Invisible
"""
)
TITLE_NOUNS = items(
    """
Harbour, Garden, River, Tower, Mirror, Orchard, Voyage, Island, Letter, Summer, Forest, Shadow,
Crown, Lantern, Road, Kingdom, Clock, Bridge, Stranger, Ocean, Sparrow, Valley, Promise,
Machine, Dream, Fire, Stone, Song, Door, Window, Mountain, Station, Wolf, Rain, Horizon,
Compass, Piano, Daughter
"""
)
ANIMAL_PLURALS = items(
    """
Foxes, Wolves, Owls, Tigers, Ravens, Bears, Herons, Otters, Sparrows, Falcons, Lions, Badgers,
Hares, Comets, Rovers, Pilots, Lanterns, Strangers, Sailors, Poets, Engines, Satellites,
Gardeners, Kings
"""
)

SPORTS = items(
    """
football, basketball, tennis, table tennis, badminton, squash, volleyball, beach volleyball,
handball, rugby, cricket, baseball, softball, hockey, ice hockey, field hockey, lacrosse, golf,
bowling, curling, swimming, diving, water polo, rowing, sailing, surfing, windsurfing, kayaking,
canoeing, cycling, mountain biking, running, marathon running, long jump, high jump, pole vault,
javelin, gymnastics, figure skating, speed skating, skiing, cross-country skiing, ski jumping,
snowboarding, boxing, judo, karate, taekwondo, fencing, wrestling, archery, darts, snooker,
climbing, bouldering, horse riding, polo, triathlon, skateboarding, motor racing, netball,
rounders, orienteering, weightlifting
"""
)

ANIMALS = items(
    """
elephant, tiger, lion, leopard, cheetah, giraffe, zebra, rhino, hippo, panda, red panda, koala,
kangaroo, wombat, platypus, sloth, otter, sea otter, beaver, badger, hedgehog, squirrel, fox,
arctic fox, wolf, brown bear, polar bear, moose, reindeer, deer, bison, camel, llama, alpaca,
goat, donkey, penguin, puffin, owl, eagle, falcon, flamingo, peacock, swan, heron, raven,
hummingbird, dolphin, humpback whale, orca, seal, walrus, octopus, seahorse, sea turtle,
tortoise, iguana, gecko, chameleon, crocodile, frog, axolotl, shark, manta ray, bumblebee,
butterfly, dragonfly, firefly, bat, meerkat, lemur, gorilla, orangutan, snow leopard, lynx,
mongoose, armadillo, capybara, okapi, quokka
"""
)

FLOWERS = items(
    """
rose, tulip, daisy, lily, orchid, sunflower, daffodil, iris, peony, poppy, lavender, violet,
pansy, marigold, carnation, chrysanthemum, dahlia, hydrangea, hyacinth, jasmine, magnolia,
lilac, foxglove, snowdrop, crocus, bluebell, forget-me-not, geranium, begonia, petunia, zinnia,
aster, anemone, camellia, gardenia, freesia, gladiolus, hibiscus, honeysuckle, lotus, primrose,
sweet pea, wisteria, buttercup, cornflower, edelweiss, cherry blossom, water lily, hollyhock,
snapdragon, tea rose
"""
)

COLOURS = items(
    """
red, blue, green, yellow, orange, purple, pink, brown, black, white, grey, turquoise, teal,
cyan, magenta, maroon, burgundy, crimson, scarlet, ruby, coral, salmon, peach, apricot, amber,
gold, mustard, ochre, beige, cream, ivory, khaki, olive, lime, mint, sage, emerald, jade, forest
green, dark green, light green, bottle green, sky blue, navy blue, royal blue, dark blue, light
blue, midnight blue, powder blue, indigo, violet, lavender, lilac, mauve, plum, fuchsia, hot
pink, pale pink, dusty rose, silver, charcoal, copper, bronze, rust, terracotta, chocolate
brown, sand, lemon yellow, dark red, brick red, sea green, aquamarine, cobalt, pearl white, jet
black, ash grey
"""
)

EYE_COLOURS = items(
    """
brown, blue, green, grey, hazel, amber, dark brown, light brown, pale blue, dark blue, bright
blue, grey-blue, blue-green, grey-green, bright green, olive green, honey brown, sea green,
steel grey, golden brown, dark green, pale grey, light green, ice blue, chestnut brown, almost
black, deep blue, light grey, pale green, dark grey, deep brown, light hazel, dark hazel,
green-brown, light blue, sky blue, violet, slate grey, copper brown, amber-green, emerald green,
warm brown, black, jade green, coffee brown, silver grey, mossy green, pale hazel, stormy grey,
sapphire blue, brown-green, misty blue, caramel brown, light amber, cornflower blue, blue and
brown, chocolate brown, turquoise, yellow-green
"""
)

INSTRUMENTS = items(
    """
piano, guitar, bass guitar, electric guitar, violin, viola, cello, double bass, harp, flute,
piccolo, clarinet, bass clarinet, oboe, bassoon, saxophone, tenor saxophone, trumpet, trombone,
French horn, tuba, cornet, euphonium, drums, bongos, congas, djembe, tabla, timpani, xylophone,
marimba, vibraphone, glockenspiel, tambourine, triangle, accordion, concertina, harmonica,
melodica, bagpipes, recorder, tin whistle, pan flute, didgeridoo, sitar, sarod, erhu, pipa,
koto, shamisen, shakuhachi, oud, bouzouki, balalaika, mandolin, banjo, ukulele, lute, lyre,
zither, dulcimer, theremin, organ, harpsichord, synthesiser, kalimba, kora, steelpan, cajon,
hurdy-gurdy, baritone saxophone, alto saxophone, snare drum, cowbell, flugelhorn, English horn,
basset horn, viola da gamba, slide guitar, sousaphone, celesta, nyckelharpa, Irish flute, hang
drum, cimbalom
"""
)

LANGUAGES = items(
    """
English, French, German, Spanish, Portuguese, Italian, Dutch, Danish, Swedish, Norwegian,
Icelandic, Finnish, Estonian, Latvian, Lithuanian, Polish, Czech, Slovak, Hungarian, Romanian,
Bulgarian, Serbian, Croatian, Slovenian, Macedonian, Albanian, Greek, Turkish, Ukrainian,
Russian, Belarusian, Georgian, Armenian, Azerbaijani, Kazakh, Uzbek, Mongolian, Arabic, Hebrew,
Persian, Kurdish, Pashto, Urdu, Hindi, Punjabi, Gujarati, Marathi, Bengali, Tamil, Telugu,
Kannada, Malayalam, Sinhala, Nepali, Tibetan, Burmese, Thai, Lao, Khmer, Vietnamese, Malay,
Indonesian, Javanese, Tagalog, Cebuano, Mandarin, Cantonese, Hokkien, Japanese, Korean, Swahili,
Amharic, Somali, Yoruba, Igbo, Hausa, Twi, Zulu, Xhosa, Shona, Afrikaans, Wolof, Irish, Welsh,
Scottish Gaelic, Breton, Basque, Catalan, Galician, Maltese, Luxembourgish, Frisian, Yiddish,
Esperanto, Latin, Quechua, Guarani, Maori, Samoan, Hawaiian, Navajo, Cree, Inuktitut, Faroese,
Sign Language
"""
)

HOBBIES = items(
    """
gardening, knitting, crocheting, sewing, embroidery, quilting, weaving, pottery, woodworking,
wood carving, painting, watercolours, sketching, calligraphy, origami, photography, film-making,
baking, cooking, home brewing, cheese making, bread making, birdwatching, hiking, camping,
fishing, foraging, geocaching, stargazing, beekeeping, metal detecting, model trains, model
ships, chess, go, board games, card games, crosswords, jigsaw puzzles, sudoku, video games,
reading, creative writing, poetry, blogging, journaling, stamp collecting, coin collecting,
vinyl collecting, antiques, juggling, magic tricks, dancing, salsa dancing, ballet, tap dancing,
singing, choir singing, songwriting, stand-up comedy, improv theatre, amateur dramatics, yoga,
pilates, meditation, jogging, trail running, rock climbing, caving, scuba diving, snorkelling,
paragliding, skydiving, kite flying, drone flying, astronomy, genealogy, local history, learning
languages, coding, electronics, robotics, 3D printing, ham radio, car restoration, bike repair,
upcycling, candle making, soap making, jewellery making, leatherwork, glass painting, bonsai,
orchid growing, aquariums, dog training, horse riding, archery, fencing, bell ringing, puppetry,
cosplay, scrapbooking, wine tasting, tea blending, trainspotting, plane spotting, letter
writing, bookbinding, lino printing, mosaics, mushroom hunting, whittling, kite surfing, wild
swimming, table football, tarot reading, podcasting, urban sketching
"""
)

ALLERGIES = items(
    """
peanuts, tree nuts, walnuts, cashews, almonds, hazelnuts, pistachios, shellfish, prawns,
lobster, crab, fish, tuna, eggs, milk, lactose, soy, wheat, gluten, sesame, mustard, celery,
lupin, strawberries, kiwi, bananas, mango, peaches, tomatoes, garlic, onions, avocado, pollen,
birch pollen, grass pollen, dust, dust mites, mould, cat hair, dog hair, horse hair, feathers,
bee stings, wasp stings, latex, nickel, penicillin, aspirin, ibuprofen, perfume, wool, ragweed,
chocolate, cinnamon, red wine, oysters, kale, lentils, chickpeas, pineapple, corn, oats, rye,
squid, apples, carrots, hay, tree pollen, goose down, chlorine, sunscreen, bananas, mosquito
bites, coriander
"""
)

CARS = items(
    """
Toyota Corolla, Toyota Yaris, Toyota Prius, Honda Civic, Honda Jazz, Honda Accord, Ford Fiesta,
Ford Focus, Ford Mustang, Ford Escort, Volkswagen Golf, Volkswagen Polo, Volkswagen Passat,
Volvo V70, Volvo XC40, Volvo Amazon, Saab 900, Skoda Octavia, Skoda Fabia, Seat Ibiza, Seat
Leon, Fiat Panda, Fiat Punto, Fiat 500, Alfa Romeo Giulia, Lancia Delta, Renault Clio, Renault
Twingo, Renault Zoe, Peugeot 208, Peugeot 308, Citroen C3, Citroen Berlingo, Dacia Duster, Dacia
Sandero, Opel Corsa, Opel Astra, Vauxhall Astra, Mini Cooper, Morris Minor, Rover 75, Land Rover
Defender, Range Rover, Jaguar E-Type, Aston Martin, Bentley, BMW X3, BMW i3, Audi A3, Audi A4,
Audi TT, Mercedes A-Class, Smart Fortwo, Porsche 911, Tesla Model 3, Tesla Model Y, Polestar 2,
Nissan Micra, Nissan Leaf, Nissan Qashqai, Mazda 3, Mazda MX-5, Subaru Outback, Subaru Forester,
Suzuki Swift, Suzuki Jimny, Mitsubishi Colt, Hyundai i10, Hyundai i30, Hyundai Kona, Kia
Picanto, Kia Sportage, Kia Niro, Chevrolet Impala, Chevrolet Spark, Dodge Ram, Jeep Wrangler,
Jeep Cherokee, Cadillac, Buick Regal, Chrysler Voyager, Lexus RX, Lada Niva, Trabant, Wartburg,
Tata Nano, Mahindra Thar, MG ZS, Lotus Elise
"""
)

PETS = items(
    """
Rex, Max, Bella, Luna, Charlie, Buddy, Rocky, Daisy, Molly, Toby, Bailey, Coco, Milo, Lola,
Ziggy, Biscuit, Cookie, Pepper, Ginger, Oreo, Mochi, Nala, Simba, Shadow, Smokey, Tiger,
Whiskers, Felix, Tom, Mittens, Socks, Patch, Spot, Fido, Bruno, Duke, Zeus, Apollo, Athena,
Loki, Thor, Odin, Freya, Poppy, Willow, Hazel, Olive, Peanut, Waffles, Pickles, Noodle,
Dumpling, Tofu, Sushi, Pretzel, Muffin, Pudding, Truffle, Maple, Honey, Sunny, Cloud, Misty,
Storm, Snowy, Ash, Pebbles, Bramble, Clover, Pippin, Bandit, Scout, Ranger, Sherlock, Watson,
Gizmo, Pixel, Nacho, Taco, Banjo, Fudge, Bubbles
"""
)

SEASONS = items(
    """
spring, summer, autumn, winter, fall, early spring, late spring, early summer, late summer, high
summer, early autumn, late autumn, mid-autumn, early winter, late winter, deep winter,
mid-winter, mid-summer, the rainy season, the dry season, the monsoon, harvest time, Christmas
time, cherry blossom season, Indian summer, the first snow, the last days of summer, carnival
season, ski season, the long summer evenings, the dark winter nights, mushroom season,
strawberry season, lambing season, the first warm days, Easter time, the week after New Year,
mid-spring, golden autumn, apple season, the school holidays, stormy autumn, snowy winter, warm
spring, cool autumn, hot summer, mild winter, the hottest weeks of July, foggy November, sunny
May, rainy April, frosty January
"""
)

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)

PHONES = items(
    """
Pixel 6, Pixel 7, Pixel 8, Pixel 9, Galaxy S20, Galaxy S21, Galaxy S22, Galaxy S23, Galaxy A54,
iPhone 11, iPhone 12, iPhone 13, iPhone 14, iPhone 15, iPhone SE, Fairphone 4, Fairphone 5,
OnePlus 9, OnePlus 12, Nokia 3310, Nokia X20, Motorola Edge, Moto G, Xperia 5, Redmi Note,
Xiaomi 13, Huawei P30, Nothing Phone, Zenfone 10, BlackBerry
"""
)
BIKES = items(
    """
Brompton, Trek, Giant, Specialized, Cannondale, Bianchi, Raleigh, Canyon, Cube, Gazelle,
Pashley, Colnago, Pinarello, Scott, Merida, Surly, Batavus, Kona, Peugeot, Puch, Koga, Santa
Cruz, Moulton, Orbea, Ridgeback
"""
)
ICE_CREAMS = items(
    """
vanilla, chocolate, strawberry, pistachio, hazelnut, lemon, mango, coconut, mint chocolate,
salted caramel, rum and raisin, cookie dough, coffee, raspberry, blackcurrant, cherry, peach,
banana, stracciatella, tiramisu, bubblegum, matcha, black sesame, lavender, honey, walnut, maple
walnut, ginger, rhubarb, passion fruit, blood orange, dark chocolate, white chocolate, caramel,
yoghurt, blueberry, melon, fig, almond, cinnamon, liquorice, rose, butterscotch, dulce de leche,
pear, nougat, marzipan, panna cotta, brown butter, cherry vanilla, orange chocolate, lemon curd,
guava, mint, plum, green tea, coconut lime, maple pecan, chestnut, papaya, pineapple, earl grey,
speculoos, toffee, elderflower, apple crumble, lime, peanut butter, cheesecake, watermelon,
apricot, blackberry
"""
)
GAMES = items(
    """
chess, go, draughts, backgammon, poker, bridge, rummy, canasta, whist, cribbage, dominoes,
mahjong, Scrabble, Monopoly, Cluedo, Risk, Catan, Carcassonne, Pandemic, Ticket to Ride, Dixit,
Codenames, Azul, Wingspan, Uno, Jenga, Tetris, Minecraft, Portal, Zelda, Pac-Man, Doom, Myst,
Stardew Valley, charades, hide-and-seek, hopscotch, Battleship, Othello, Boggle, Yahtzee,
Mastermind, Splendor, Terraria, Factorio, Civilization, Celeste, Hades, Firewatch, Journey
"""
)
KIN = items(
    """
my brother, my sister, my mother, my father, my mum, my dad, my boss, my neighbour, my best
friend, my colleague, my aunt, my uncle, my cousin, my roommate, my flatmate, my coach, my
grandmother, my grandfather, my partner, my husband, my wife, my son, my daughter, my niece, my
nephew, my girlfriend, my boyfriend, my teacher, my landlord, my manager, my friend, my
stepfather, my stepsister, my godmother, my mother-in-law, my brother-in-law, my assistant, my
tutor, my doctor, my classmate, my oldest friend, my twin sister, my older brother, my younger
sister, my little brother, my great-aunt, my granddaughter, my grandson, my business partner, my
team leader, my gym buddy, my pen pal, my next-door neighbour, my accountant, my trainer
"""
)
