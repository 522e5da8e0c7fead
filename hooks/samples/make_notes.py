"""Make the synthetic documents that a project with MongoDB begins with: `python make_notes.py` writes the same bytes every time.

Field notes of an invented survey: nested, with lists of different lengths, fields that some notes lack, and a text in each.
"""

import json
from math import cos, pi
from pathlib import Path
from random import Random

NOTES = 240
TARGET = Path(__file__).resolve().parents[2] / "template" / "data" / "{% if mongo %}field_notes.ndjson{% endif %}"

STATIONS = [  # name, height in m, longitude, latitude
    ("Alder Brook", 212, 10.412, 47.981), ("Birch Ridge", 934, 10.655, 47.702), ("Cold Spring", 671, 10.508, 47.833),
    ("Dry Meadow", 388, 10.301, 47.912), ("Eagle Rock", 1480, 10.799, 47.601), ("Fern Valley", 455, 10.447, 47.874),
]  # fmt: skip
OBSERVERS = [("Ada", 2019), ("Bo", 2021), ("Chidi", 2022), ("Dana", 2018)]
SPECIES = ["kestrel", "marmot", "fire salamander", "roe deer", "dipper", "apollo butterfly"]

# What a note may be about: three parts of its text, and how the readings differ from the usual.
ABOUT = {
    "drought": (
        ["The soil is cracked along the whole transect.", "No rain for {n} days, and the grass has turned brown.",
         "The upper pond has dried out."],
        ["Moisture is far below last year's.", "Seedlings wilt by noon.", "Dust on every leaf of plot {n}."],
        ["We watered nothing, as agreed.", "Another dry week is forecast.", "Fire risk is posted as high."],
        {"soil moisture": -0.14, "water level": -0.3, "air temperature": 5},
    ),
    "flood": (
        ["The brook has left its bed after the storm.", "Heavy rain all night, {n} mm in the gauge.",
         "Water stands between the rows of plot {n}."],
        ["The lower gauge is under water.", "Mud covers the path to the station.", "The bank has slid into the stream."],
        ["We turned back at the bridge.", "The level is still rising.", "Sandbags protect the logger now."],
        {"soil moisture": 0.15, "water level": 0.9, "air temperature": -2},
    ),
    "pests": (
        ["Bark beetles in {n} of the spruces.", "Aphids on nearly every young leaf.", "Caterpillars have eaten the oaks bare."],
        ["The traps are full since the last visit.", "Woodpeckers have found the larvae.", "Resin runs from fresh holes."],
        ["Infested trees are marked with tape.", "The forester is told.", "Next count of the traps in {n} days."],
        {},
    ),
    "instrument": (
        ["The logger had stopped recording {n} days ago.", "A mouse has bitten through the sensor's cable.",
         "The battery was down to {n} percent."],
        ["The clock was off by some minutes.", "Values before noon are not to be trusted.", "Condensation in the housing."],
        ["Firmware updated, card replaced.", "A new sensor is ordered.", "Recording again since the afternoon."],
        {},
    ),
    "snow": (
        ["Fresh snow of {n} cm since yesterday.", "The station is buried to the solar panel.", "Ice on all of the guy wires."],
        ["Tracks of a fox cross the plot.", "Drifts up to the fence.", "The stream is frozen at its edges."],
        ["Reached the station on skis.", "Avalanche warning for the upper slope.", "Dug the gauge out by hand."],
        {"air temperature": -5, "soil moisture": 0.03},
    ),
    "quiet": (
        ["Nothing unusual on the round.", "All plots as they should be.", "A calm, clear morning."],
        ["Flowers open on plot {n}.", "Birds sing from the hedge.", "The meadow is in full bloom."],
        ["Photographs taken from the usual points.", "All samples are labelled.", "Back at noon."],
        {},
    ),
}  # fmt: skip
READINGS = {  # unit, mean, standard deviation, digits
    "soil moisture": ("m3/m3", 0.24, 0.03, 3), "water level": ("m", 0.62, 0.08, 2), "air temperature": ("degC", 9.0, 3.0, 1),
}  # fmt: skip
MONTHS = {"drought": range(6, 10), "snow": (1, 2, 3, 11, 12), "pests": range(4, 10), "flood": range(3, 12)}


def notes():
    """The documents, in the order of their ids."""
    random = Random(2025)
    for number in range(1, NOTES + 1):
        name, height, longitude, latitude = random.choice(STATIONS)
        observer, since = random.choice(OBSERVERS)
        subject = random.choice([*ABOUT])
        first, _, _, shifts = ABOUT[subject]
        # People write of more than one thing.
        second, third = (
            ABOUT[subject if random.random() < share else random.choice([*ABOUT])][part]
            for part, share in [(1, 0.7), (2, 0.4)]
        )
        month, day = random.choice(MONTHS.get(subject, range(1, 13))), random.randint(1, 28)
        document = {
            "_id": f"N{number:03}",
            "visited_at": f"2025-{month:02}-{day:02}T{random.randint(6, 17):02}:{random.choice('012345')}0:00Z",
            "station": {
                "name": name,
                "height_m": height,
                "place": {"type": "Point", "coordinates": [longitude, latitude]},
            },
            "observer": {"name": observer, "since": since},
            "subject": subject,
        }
        season = {"air temperature": 9 * cos((month - 7) * pi / 6) - (height - 500) * 0.0065}
        document["readings"] = [
            {
                "what": what,
                "value": round(mean + season.get(what, 0) + shifts.get(what, 0) + random.gauss(0, spread), digits),
                "unit": unit,
            }
            for what, (unit, mean, spread, digits) in READINGS.items()
            if random.random() < 0.85
        ]
        if random.random() < 0.4:
            seen = random.sample(SPECIES, random.randint(1, 3))
            document["sightings"] = [{"species": each, "count": random.randint(1, 9)} for each in seen]
        sentences = [random.choice(part) for part in (first, second, third)]
        document["note"] = " ".join(sentences).replace("{n}", str(random.randint(2, 40)))
        yield document


def main(path=TARGET):
    """Write them, a line each."""
    text = "".join(json.dumps(document, ensure_ascii=False) + "\n" for document in notes())
    Path(path).write_text(text, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
