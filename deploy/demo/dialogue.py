"""What the demo's people say to each other below the pictures."""

ANYTHING = (
    "Oh wow.",
    "This made my day.",
    "I keep coming back to this one.",
    "The colours!",
    "Saving this.",
    "Stunning, honestly.",
    "How long did this take you?",
    "I could look at it for hours",
    "One of your best.",
    "New wallpaper, thank you.",
    "Beautiful light.",
    "So calm.",
    "Yes. Just yes.",
    "You make it look easy.",
    "That top left corner is everything.",
    "I want to be there right now",
    "Needs to be printed. Big.",
)
ABOUT = {
    "ana": (
        "I can't stop staring.",
        "It moves when I squint!",
        "Which lens was that?",
        "Cosy. I can smell the cinnamon.",
    ),
    "ben": ("Which ridge is that?", "My knees hurt just looking at it.", "Take me next time!", "Those layers of haze."),
    "chloe": (
        "I can hear the waves.",
        "How cold was it really?",
        "The horizon is perfectly straight, well done.",
        "Sea!",
    ),
    "diego": ("That red is so good.", "Would hang this over my desk.", "Is there a print?", "The grid behaves today."),
    "emi": (
        "How many layers were you wearing?",
        "Unreal sky.",
        "What exposure time?",
        "I have never seen stars like that.",
    ),
    "farid": (
        "The line of that crest!",
        "Sand in the camera again?",
        "Is it as quiet as it looks?",
        "That shadow side.",
    ),
    "greta": (
        "The shadows are real?!",
        "How many sheets?",
        "Mind your fingers.",
        "I walked past the window, even better.",
    ),
    "hugo": (
        "Say hello to the dog.",
        "I can smell the wet moss.",
        "The fog knows what it is doing.",
        "More of this please.",
    ),
    "ines": ("I need this as a sticker.", "The petals!", "What do you draw with?", "Happy little thing."),
    "noor": ("Best bench in town.", "Which bridge is this?", "All those windows.", "The city is kind to you."),
}
THANKS = (
    "Thank you!",
    "Thanks! Took it before breakfast.",
    "You are too kind",
    "Come along next time!",
    "Coming from you, that means a lot.",
    "No filter, promise.",
)
EXPLANATIONS = (
    "Ha, good question. I'd have to look it up.",
    "It's a long story. Friday, over coffee?",
    "Come along next time and find out!",
    "More than I'd like to admit.",
    "That stays my secret.",
)
POINTING = (
    "@{} have you seen this?",
    "@{} we have to go there.",
    "Reminds me of yours, @{}",
    "This is the one I told you about @{}!",
)

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
