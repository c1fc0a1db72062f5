"""A program that pretends to train: it counts steps, stops when asked, goes on, and fails with words it is given."""

RUN = """
import json, signal, sys, time
from pathlib import Path
folder, steps = Path(sys.argv[1]), int(sys.argv[2])
folder.mkdir(parents=True, exist_ok=True)
with (folder / "started").open("a") as file:
    file.write("once more\\n")
state = folder / "state"
done = int(state.read_text()) if state.exists() else 0
stop = []
signal.signal(signal.SIGINT, lambda *_: stop.append(1))
metrics = folder / "metrics.csv"
if not done:
    metrics.write_text("step,loss,validation_loss\\n")
for step in range(done + 1, steps + 1):
    time.sleep(0.05)
    with metrics.open("a") as file:
        file.write(f"{step},{10 / step},\\n")
    state.write_text(str(step))
    if stop:
        sys.exit(75)
if len(sys.argv) > 3:
    print("repro: " + sys.argv[3])
    sys.exit(2)
(folder / "result.json").write_text(json.dumps({"steps": steps}))
"""
