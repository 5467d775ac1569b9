"""What some of the demo's posts have besides a picture: a place, more words, people in the picture."""

# Where some of the pictures were taken, by the number of the post.
PLACES: dict[int, tuple[str, float | None, float | None]] = {
    0: ("Niesen, Bernese Alps", 46.6453, 7.6512),
    3: ("Erg Chebbi", 31.1500, -3.9833),
    4: ("Puente Nuevo", None, None),
    7: ("Studio, second floor", None, None),
    8: ("Val Bregaglia", 46.3478, 9.5672),
    11: ("Étretat", 49.7071, 0.2056),
    12: ("Praça do Comércio, Lisbon", 38.7075, -9.1364),
    14: ("Inari, Finland", 68.9060, 27.0280),
    18: ("Mill Lane", None, None),
    27: ("Lake Inari", 69.0483, 27.8760),
    32: ("Pallas-Yllästunturi", 67.9667, 24.1333),
    34: ("Gornergrat", 45.9833, 7.7847),
    35: ("Black Forest", 48.2775, 8.1860),
    37: ("Plage du Prado, Marseille", 43.2580, 5.3730),
    42: ("Merzouga", 31.0994, -4.0117),
    43: ("Bavarian Forest", 48.9333, 13.4167),
    46: ("Coliseu dos Recreios", 38.7169, -9.1400),
    48: ("Utsjoki", 69.9078, 27.0269),
    50: ("Pointe du Raz", 48.0400, -4.7400),
    53: ("Ounasjärvi", 68.3833, 23.6333),
    55: ("Furka Pass", 46.5573, 8.5614),
    58: ("Cap Fréhel", 48.6842, -2.3190),
}
# Words added to some captions, by the number of the post; handles in them are mentions.
ADDED = {
    3: "With @ben, who counted as well.",
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
