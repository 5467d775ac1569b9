"""What some of the demo's posts have besides a picture: a place, more words, people in the picture."""

from domain.records.posts import LocationRecord

# Where some of the pictures were taken, by the number of the post.
PLACES = {
    0: LocationRecord(name="Niesen, Bernese Alps", latitude=46.6453, longitude=7.6512),
    3: LocationRecord(name="Erg Chebbi", latitude=31.1500, longitude=-3.9833),
    4: LocationRecord(name="Puente Nuevo"),
    7: LocationRecord(name="Studio, second floor"),
    8: LocationRecord(name="Val Bregaglia", latitude=46.3478, longitude=9.5672),
    11: LocationRecord(name="Étretat", latitude=49.7071, longitude=0.2056),
    12: LocationRecord(name="Praça do Comércio, Lisbon", latitude=38.7075, longitude=-9.1364),
    14: LocationRecord(name="Inari, Finland", latitude=68.9060, longitude=27.0280),
    18: LocationRecord(name="Mill Lane"),
    27: LocationRecord(name="Lake Inari", latitude=69.0483, longitude=27.8760),
    32: LocationRecord(name="Pallas-Yllästunturi", latitude=67.9667, longitude=24.1333),
    34: LocationRecord(name="Gornergrat", latitude=45.9833, longitude=7.7847),
    35: LocationRecord(name="Black Forest", latitude=48.2775, longitude=8.1860),
    37: LocationRecord(name="Plage du Prado, Marseille", latitude=43.2580, longitude=5.3730),
    42: LocationRecord(name="Merzouga", latitude=31.0994, longitude=-4.0117),
    43: LocationRecord(name="Bavarian Forest", latitude=48.9333, longitude=13.4167),
    46: LocationRecord(name="Coliseu dos Recreios", latitude=38.7169, longitude=-9.1400),
    48: LocationRecord(name="Utsjoki", latitude=69.9078, longitude=27.0269),
    50: LocationRecord(name="Pointe du Raz", latitude=48.0400, longitude=-4.7400),
    53: LocationRecord(name="Ounasjärvi", latitude=68.3833, longitude=23.6333),
    55: LocationRecord(name="Furka Pass", latitude=46.5573, longitude=8.5614),
    58: LocationRecord(name="Cap Fréhel", latitude=48.6842, longitude=-2.3190),
}
# Words added to some captions, by the number of the post; handles in them are mentions. Three people share a hashtag on
# the last day, so it trends.
ADDED = {
    1: "#colourstudy",
    3: "With @ben, who counted as well. #patience",
    5: "#patience #colourstudy",
    7: "#colourstudy",
    8: "@emi, this is the valley.",
    14: "Guided by @farid, who had never seen snow before.",
    21: "Tea by @chloe.",
    25: "Ask @ines, she was there.",
    30: "For @greta.",
    37: "@ana dared me.",
    46: "Thanks for the ticket @noor!",
    57: "Colours chosen by @diego.",
}
# Who is in the picture and where, by the number of the post.
IN_THE_PICTURE: dict[int, tuple[tuple[str, float, float], ...]] = {
    0: (("emi", 0.31, 0.62),),
    3: (("ben", 0.22, 0.71), ("hugo", 0.64, 0.55)),
    12: (("chloe", 0.48, 0.66),),
    21: (("chloe", 0.5, 0.8),),
    37: (("ana", 0.41, 0.58),),
    46: (("noor", 0.7, 0.8), ("diego", 0.33, 0.77)),
    50: (("ana", 0.55, 0.74), ("greta", 0.37, 0.72)),
}
