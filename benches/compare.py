"""Medians over rounds and their ratios from the JSON lines of a side-by-side script, as Markdown.

    python compare.py front-ends|step|ops|streaming lines.json
"""

import collections
import json
import statistics
import sys


def medians(lines, key, values):
    """{key(line): {value: median over the lines}}, in the order of first appearance."""
    groups = collections.defaultdict(lambda: collections.defaultdict(list))
    for line in lines:
        for value in values:
            groups[key(line)][value].append(line[value])
    return {k: {v: statistics.median(x) for v, x in g.items()} for k, g in groups.items()}


def front_ends(lines):
    rows = medians(lines, lambda r: r["system"], ("wall_ms", "cpu_ms"))
    secs = round(lines[0]["frames"] / 100)
    base = next(row for name, row in rows.items() if name.startswith("kaldi"))
    print("| front end | audio s / s | audio h / s | ratio (wall) | ratio (processor time) |\n|---|---|---|---|---|")
    for name, row in rows.items():
        speed = 1e3 * secs / row["wall_ms"]
        wall, cpu = (base[clock] / row[clock] for clock in ("wall_ms", "cpu_ms"))
        print(f"| {name} | {speed:.0f} | {speed / 3600:.2f} | {wall:.2f} | {cpu:.2f} |")


def beside(title, rows):
    """`rows`: (label, what, auricle, pytorch)."""
    print(f"| {title} | | auricle | PyTorch | PyTorch / auricle |\n|---|---|---|---|---|")
    for label, what, a, p in rows:
        print(f"| {label} | {what} | {a:.{2 if a < 100 else 0}f} | {p:.{2 if p < 100 else 0}f} | {p / a:.2f} |")


def step(lines):
    values = ("step_ms", "step_cpu_ms", "forward_ms", "forward_cpu_ms", "start_mb", "peak_mb")
    names = ("step, ms", "step, processor ms", "forward, ms", "forward, processor ms", "start, MB", "peak, MB")
    if all(line.get("device_mb") for line in lines):
        values, names = (*values, "device_mb"), (*names, "reserved on the device, MB")
    rows = medians(lines, lambda r: (r["model"], r["system"].split()[0]), values)
    models = dict.fromkeys(model for model, _ in rows)
    beside(
        "model",
        ((m, name, rows[m, "auricle"][v], rows[m, "pytorch"][v]) for m in models for v, name in zip(values, names)),
    )


def ops(lines):
    rows = medians(lines, lambda r: (r["op"], r["kind"], r["system"]), ("ms", "cpu_ms"))
    print("| operation | | auricle, ms | PyTorch, ms | ratio | ratio (processor time) |\n|---|---|---|---|---|---|")
    for name, kind, system in rows:
        if system != "auricle" or (name, kind, "pytorch") not in rows:
            continue
        a, p = rows[name, kind, "auricle"], rows[name, kind, "pytorch"]
        kind = {"both": "forward + backward"}.get(kind, kind)
        ratios = f"{p['ms'] / a['ms']:.2f} | {p['cpu_ms'] / a['cpu_ms']:.2f}"
        print(f"| {name} | {kind} | {a['ms']:.3f} | {p['ms']:.3f} | {ratios} |")


def streaming(lines):
    """What only one of the systems measures is left out."""
    values = {"p50_ms": "p50, ms", "p99_ms": "p99, ms"}
    rows = medians(lines, lambda r: (r["name"], r["system"].split()[0]), values)
    beside(
        "stream",
        (
            (name, label, rows[name, "auricle"][v], rows[name, "pytorch"][v])
            for name in dict.fromkeys(name for name, _ in rows)
            if (name, "pytorch") in rows
            for v, label in values.items()
        ),
    )


what, path = sys.argv[1:]
rows = [json.loads(line) for line in open(path)]
print(f"threads: {rows[0].get('threads', 1)}; {', '.join(dict.fromkeys(r['system'] for r in rows))}\n")
{"front-ends": front_ends, "step": step, "ops": ops, "streaming": streaming}[what](rows)
