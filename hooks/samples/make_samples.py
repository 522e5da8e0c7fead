"""Make the two synthetic samples beside this file: `python make_samples.py` writes the same bytes every time.

They stand in for the real data where the UCI archive cannot be reached: the same file format, columns and codes, a
few hundred invented rows. No row is taken from the real files. Every column is drawn so that its shares are those
of the published data set (rounded to a tenth of a percent); the columns hang together only through a crude model,
good enough for a plot to look sensible and for nothing else.

Shares from:
  Adult. Becker & Kohavi (1996), UCI Machine Learning Repository, doi 10.24432/C5XW20, CC BY 4.0.
  Breast Cancer Wisconsin (Original). Wolberg (1990), UCI Machine Learning Repository, doi 10.24432/C5HP4Z, CC BY 4.0.
"""

from bisect import bisect_right
from itertools import accumulate
from math import exp, log, sqrt
from pathlib import Path
from random import Random
from statistics import NormalDist

ADULT_ROWS = 400
BREAST_CANCER_ROWS = 300

# Adult: shares in thousandths. Where the order matters it runs from what goes with a low income to a high one.
AGE = {  # the band's first and last year
    (17, 19): 51, (20, 24): 120, (25, 29): 127, (30, 34): 133, (35, 39): 131, (40, 44): 119, (45, 49): 101,
    (50, 54): 78, (55, 59): 57, (60, 64): 40, (65, 69): 22, (70, 74): 11, (75, 90): 9,
}  # fmt: skip
WORKCLASS = {
    "Private": 697, "State-gov": 40, "Local-gov": 64, "Self-emp-not-inc": 78, "Federal-gov": 29, "Self-emp-inc": 34,
}  # fmt: skip
WORKCLASS_MISSING = 0.056  # the occupation is missing in the same rows
EDUCATION = {  # in the order of education_num, which is 1 for Preschool
    "Preschool": 2, "1st-4th": 5, "5th-6th": 10, "7th-8th": 20, "9th": 16, "10th": 29, "11th": 36, "12th": 13,
    "HS-grad": 323, "Some-college": 224, "Assoc-voc": 42, "Assoc-acdm": 33, "Bachelors": 164, "Masters": 53,
    "Prof-school": 18, "Doctorate": 13,
}  # fmt: skip
MARITAL_STATUS = {
    "Never-married": 328, "Separated": 31, "Married-spouse-absent": 13, "Divorced": 136, "Widowed": 30,
    "Married-AF-spouse": 1, "Married-civ-spouse": 460,
}  # fmt: skip
OCCUPATION = {
    "Priv-house-serv": 5, "Other-service": 101, "Handlers-cleaners": 42, "Farming-fishing": 31,
    "Machine-op-inspct": 61, "Adm-clerical": 116, "Transport-moving": 49, "Craft-repair": 126, "Sales": 112,
    "Tech-support": 29, "Protective-serv": 20, "Prof-specialty": 127, "Exec-managerial": 125,
}  # fmt: skip
RACE = {"White": 854, "Black": 96, "Asian-Pac-Islander": 32, "Amer-Indian-Eskimo": 10, "Other": 8}
SEX = {"Female": 331, "Male": 669}
HOURS = {
    (5, 19): 52, (20, 29): 73, (30, 34): 46, (35, 39): 67, (40, 40): 467, (41, 44): 19, (45, 49): 77, (50, 50): 87,
    (51, 59): 32, (60, 60): 45, (61, 80): 34,
}  # fmt: skip
COUNTRY = {
    "United-States": 896, "Mexico": 20, "?": 18, "Philippines": 6, "Germany": 4, "Canada": 4, "Puerto-Rico": 4,
    "El-Salvador": 3, "India": 3, "Cuba": 3, "England": 3, "Jamaica": 2, "China": 2, "Italy": 2, "Vietnam": 2,
    "Guatemala": 2, "Japan": 2, "Poland": 2, "Taiwan": 2, "Haiti": 1, "Iran": 1, "Portugal": 1, "Greece": 1,
}  # fmt: skip
HIGH_INCOME = 0.241
CAPITAL_GAIN = 0.083  # share that has one; its median is 7,298 and its upper quartile 14,084
CAPITAL_LOSS = 0.047  # share that has one; mean 1,871, standard deviation 377
# Median and quartiles of fnlwgt: 178,356, 117,827, 237,051.

# Breast cancer: for each class the shares of the values 1 to 10, in percent.
MALIGNANT = 0.345
BENIGN_SHARES = {
    "clump_thickness": (31, 10, 21, 15, 19, 3, 0, 1, 0, 0),
    "uniformity_of_cell_size": (83, 8, 6, 2, 0, 1, 0, 0, 0, 0),
    "uniformity_of_cell_shape": (77, 11, 7, 3, 1, 1, 0, 0, 0, 0),
    "marginal_adhesion": (82, 8, 7, 1, 1, 1, 0, 0, 0, 0),
    "single_epithelial_cell_size": (10, 79, 6, 2, 1, 1, 1, 0, 0, 0),
    "bare_nuclei": (86, 5, 3, 1, 2, 0, 1, 1, 0, 1),
    "bland_chromatin": (33, 35, 28, 2, 1, 0, 1, 0, 0, 0),
    "normal_nucleoli": (88, 7, 3, 0, 0, 1, 0, 1, 0, 0),
    "mitoses": (97, 2, 1, 0, 0, 0, 0, 0, 0, 0),
}
MALIGNANT_SHARES = {
    "clump_thickness": (1, 2, 5, 5, 19, 7, 9, 17, 6, 29),
    "uniformity_of_cell_size": (2, 3, 10, 13, 12, 10, 8, 12, 2, 28),
    "uniformity_of_cell_shape": (1, 3, 10, 13, 13, 11, 12, 11, 3, 23),
    "marginal_adhesion": (13, 9, 11, 12, 8, 7, 6, 10, 2, 22),
    "single_epithelial_cell_size": (0, 10, 18, 17, 14, 16, 4, 8, 1, 12),
    "bare_nuclei": (6, 4, 6, 5, 8, 2, 3, 8, 4, 54),
    "bland_chromatin": (1, 3, 15, 13, 12, 4, 27, 12, 5, 8),
    "normal_nucleoli": (17, 2, 13, 7, 7, 7, 6, 8, 7, 26),
    "mitoses": (56, 11, 13, 5, 2, 1, 3, 3, 0, 6),
}
BARE_NUCLEI_MISSING = 0.023

standard_normal = NormalDist()


def pick(shares, score):
    """The value at the quantile of a standard normal `score`: keeps the shares, whatever the scores hang on."""
    bounds = list(accumulate(shares.values()))
    position = standard_normal.cdf(score) * bounds[-1]
    return list(shares)[min(bisect_right(bounds, position), len(bounds) - 1)]


def adult_rows(number):
    """`number` invented rows of Adult: lists of 15 fields as text, the income last."""
    random = Random(1996)

    def mix(*terms):
        """A standard normal score made of (weight, score) pairs and noise."""
        noise = sqrt(1 - sum(weight**2 for weight, _ in terms))
        return sum(weight * score for weight, score in terms) + noise * random.gauss(0, 1)

    rows, scores = [], []
    for _ in range(number):
        means, years = random.gauss(0, 1), random.gauss(0, 1)  # what the columns have in common
        age = random.randint(*pick(AGE, years))
        sex = pick(SEX, mix((0.2, means)))
        education = pick(EDUCATION, mix((0.6, means), (0.1, years)))
        marital_status = pick(MARITAL_STATUS, mix((0.5, years), (0.3, means)))
        married = marital_status == "Married-civ-spouse"
        if married:
            relationship = "Husband" if sex == "Male" or random.random() < 0.65 else "Wife"
            sex = "Male" if relationship == "Husband" else "Female"
        elif random.random() < (0.6 if age < 25 else 0.15):
            relationship = "Own-child"
        else:
            relationship = pick({"Not-in-family": 65, "Unmarried": 27, "Other-relative": 8}, random.gauss(0, 1))
        missing = random.random() < WORKCLASS_MISSING
        has_gain = mix((0.4, means)) > standard_normal.inv_cdf(1 - CAPITAL_GAIN)
        has_loss = mix((0.2, means)) > standard_normal.inv_cdf(1 - CAPITAL_LOSS)
        gain = min(99999, round(exp(random.gauss(log(7298), 0.975)))) if has_gain else 0
        loss = max(155, round(random.gauss(1871, 377))) if has_loss and not has_gain else 0
        rows.append(
            [
                str(age),
                "?" if missing else pick(WORKCLASS, mix((0.2, means))),
                str(round(exp(random.gauss(log(178356), 0.52)))),
                education,
                str(list(EDUCATION).index(education) + 1),
                marital_status,
                "?" if missing else pick(OCCUPATION, mix((0.65, means))),
                relationship,
                pick(RACE, random.gauss(0, 1)),
                sex,
                str(gain),
                str(loss),
                str(random.randint(*pick(HOURS, mix((0.3, means), (0.2, years))))),
                pick(COUNTRY, random.gauss(0, 1)),
            ]
        )
        working_life = 0.6 * years - 0.4 * max(0, years - 1)  # rises until the fifties
        scores.append(means + working_life + 1.2 * married + 0.8 * has_gain + random.gauss(0, 0.6))
    limit = sorted(scores)[round((1 - HIGH_INCOME) * number)]
    return [[*row, ">50K" if score >= limit else "<=50K"] for row, score in zip(rows, scores, strict=True)]


def breast_cancer_rows(number):
    """`number` invented rows of Breast Cancer Wisconsin: lists of 11 fields as text, the class last."""
    random = Random(1990)
    rows = []
    for _ in range(number):
        malignant = random.random() < MALIGNANT
        severity = random.gauss(0, 1)
        row = [str(random.randint(800_000, 1_350_000))]
        for name, shares in (MALIGNANT_SHARES if malignant else BENIGN_SHARES).items():
            value = pick(dict(enumerate(shares, start=1)), 0.6 * severity + 0.8 * random.gauss(0, 1))
            missing = name == "bare_nuclei" and random.random() < BARE_NUCLEI_MISSING
            row.append("?" if missing else str(value))
        rows.append([*row, "4" if malignant else "2"])
    return rows


def main(folder):
    """Write both files to `folder`, in the very form of the originals: Adult's last line is blank."""
    adult = "".join(", ".join(row) + "\n" for row in adult_rows(ADULT_ROWS)) + "\n"
    breast_cancer = "".join(",".join(row) + "\n" for row in breast_cancer_rows(BREAST_CANCER_ROWS))
    (folder / "adult.data").write_text(adult, encoding="ascii", newline="\n")
    (folder / "breast-cancer-wisconsin.data").write_text(breast_cancer, encoding="ascii", newline="\n")


if __name__ == "__main__":
    main(Path(__file__).parent)
