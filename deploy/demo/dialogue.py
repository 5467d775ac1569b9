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
