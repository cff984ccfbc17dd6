#!/usr/bin/python3
"""growth.py HEMLINE FOLDER [COUNT...]: how the time of a query grows with its gallery.

For each COUNT (60000 250000 1000000) and both forms of grow.py (784 bytes, 128 floats): makes the vectors, ingests them,
and has `hemline bench` measure Hemline's graphs on one thread. Prints the time at recall 0.95 and 0.99 beside that of
the smallest gallery, and draws FOLDER/growth.svg with gnuplot. What is there already is used again. A million vectors
need some 12 GB of memory, 15 GB of disk and half an hour.
"""
import csv
import math
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
FORMS = (("784 bytes", "bvecs", "hnsw-pca"), ("128 floats", "npy", "hnsw"))
RECALLS = (0.95, 0.99)


def measure(hemline, folder, count, ending, kind):
    """(recall, microseconds) of every setting, and the seconds and bytes of the build."""
    stem = os.path.join(folder, f"{ending}-{count}")
    catalog, rows = f"{stem}.h5", f"{stem}.csv"
    if not os.path.exists(catalog):
        vectors = f"{stem}.{ending}"
        subprocess.run([os.path.join(HERE, "grow.py"), str(count), vectors], check=True)
        for name, domain in ((vectors, "shop"), (f"{stem}-queries.{ending}", "consumer")):
            subprocess.run([hemline, "ingest", catalog, "--vectors", name, "--domain", domain, "-q"], check=True)
            os.remove(name)
    if not os.path.exists(rows):
        subprocess.run([hemline, "bench", catalog, "--kinds", kind, "--peers", "none", "--threads", "1", "--no-batch",
                        "--no-cold", "--queries", "300", "--csv", rows, "--work", f"{stem}.work"], check=True)
    with open(rows, newline="") as file:
        table = [row for row in csv.DictReader(file) if row["mode"] == "single"]
    points = sorted((float(row["recall"]), float(row["p50_us"])) for row in table)
    return points, float(table[0]["build_seconds"]), int(table[0]["disk_bytes"])


def at(points, recall):
    """Between the settings around it, by the logarithm of time; of those that others beat none is looked at."""
    front = [p for p in points if not any(o[0] >= p[0] and o[1] < p[1] for o in points)]
    for below, above in zip(front, front[1:]):
        if below[0] <= recall <= above[0]:
            share = (recall - below[0]) / (above[0] - below[0]) if above[0] > below[0] else 0
            return math.exp((1 - share) * math.log(below[1]) + share * math.log(above[1]))
    return front[0][1] if recall < front[0][0] else math.nan


def draw(path, series):
    blocks = "".join("\n".join(f"{x} {y}" for x, y in points) + "\ne\n" for _, points in series)
    plots = ", ".join(f"'-' using 1:2 with linespoints pointtype 7 title '{name}'" for name, _ in series)
    script = (f"set terminal svg size 900,480 background 'white'\nset output '{path}'\nset logscale x\nset grid\n"
              "set xlabel 'vectors'\nset ylabel 'microseconds, one query, one thread'\nset yrange [0:]\nset key left top\n"
              f"plot {plots}\n{blocks}")
    subprocess.run(["gnuplot"], input=script, text=True, check=True)


def main():
    hemline, folder = os.path.abspath(sys.argv[1]), sys.argv[2]
    counts = sorted(int(text) for text in sys.argv[3:]) or [60000, 250000, 1000000]
    os.makedirs(folder, exist_ok=True)
    series = []
    print("form\tkind\tvectors\trecall\tus\ttimes the smallest\tbuild_s\tbytes a vector")
    for form, ending, kind in FORMS:
        results = [(count, *measure(hemline, folder, count, ending, kind)) for count in counts]
        for recall in RECALLS:
            times = [at(points, recall) for _, points, _, _ in results]
            for (count, _, seconds, size), us in zip(results, times):
                print(f"{form}\t{kind}\t{count}\t{recall}\t{us:.1f}\t{us / times[0]:.2f}\t{seconds:.0f}\t{size / count:.0f}")
            series.append((f"{form}, {kind}, recall {recall}", list(zip(counts, times))))
    draw(os.path.join(folder, "growth.svg"), series)


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main()
