"""cookiecutter.json from copier.yml: `python -m hooks.cookiecutter_json` writes it, and a test fails when the two differ.

Cookiecutter knows no conditions and none of Copier's filters. So a default that is worked out is "" here, and Copier works
it out; `details`, which opens the rarer questions, has no use where all are asked.
"""

import json
from pathlib import Path

import yaml

ROOT = Path(__file__).parent.parent
OMITTED = ("details",)
# What Copier takes from the folder that was typed.
PROJECT_NAME = "My data science project"


def derive(questions):
    """The content of cookiecutter.json as a dict, from that of copier.yml."""
    context, prompts = {}, {}
    for name, question in questions.items():
        if name.startswith("_") or name in OMITTED or question.get("ask") is False:
            continue
        default, text = question["default"], question["help"]
        if name == "project_name":
            default = PROJECT_NAME
        elif "UNSET" in str(default):
            default = ""  # has none: it is asked for until there is an answer
        elif isinstance(default, str) and "{" in default:
            default, text = "", f"{text} (empty: from the other answers)"
        elif isinstance(default, int) and not isinstance(default, bool):
            default = str(default)
        if "csv" in str(question.get("ask")):
            text += " (only for a file of yours)"
        prompts[name] = text
        if "choices" in question:
            labels = {value: label for label, value in question["choices"].items()}
            default = sorted(labels, key=lambda value: value != question["default"])
            prompts[name] = {"__prompt__": text, **labels}
        context[name] = default
    # The folder's name; two underscores: rendered, but not asked.
    umlauts = [[letter, f"{plain}e"] for letter, plain in zip("äöüÄÖÜ", "aouaou", strict=True)]
    options = f"regex_pattern='[^a-z0-9_-]+', replacements={umlauts}"
    slug = f"(cookiecutter.project_slug or cookiecutter.project_name) | slugify({options})"
    return {**context, "__folder": "{{ " + slug + " or 'dsproj' }}", "__prompts__": prompts}


def text():
    """What cookiecutter.json has to hold."""
    questions = yaml.safe_load((ROOT / "copier.yml").read_text(encoding="utf-8"))
    return json.dumps(derive(questions), ensure_ascii=False, indent=2) + "\n"


if __name__ == "__main__":
    (ROOT / "cookiecutter.json").write_text(text(), encoding="utf-8")
