#!/usr/bin/env python3
"""What `protap trace` costs: bench.py [REPETITIONS].

A Redis server is driven by redis-benchmark while nothing, tcpdump or a trace looks on, in turns; both ends are traced, and
every request must become a record. Then the same once more with the server and the client on one core and what looks on on
the others: what they lose where there is a core to spare. Then a process that is not traced is timed: calls that have nothing to do with sockets,
and socket calls on another port. Medians over the repetitions, each against the run without tracing of the same repetition;
"no tracing, again" is the noise; with "chrt --idle" the trace takes only the processor time that is left. Prints a table in Markdown.
"""
import json
import os
import platform
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
import time

PROTAP, PLUGIN = os.environ["PROTAP"], os.path.join(os.environ["PLUGINS"], "redis.wasm")
HERE = os.path.dirname(os.path.abspath(__file__))
WORK = tempfile.mkdtemp(prefix="protap-bench-")
PORT, REQUESTS, CLIENTS = 26399, int(os.environ.get("REQUESTS", "50000")), 16
BASE = "no tracing"
IDLE = "trace, socket, chrt --idle"
VARIANTS = [BASE, "no tracing, again", "tcpdump -w /dev/null", "trace, socket", IDLE, "trace, tp-btf", "trace, tracepoint"]
MOUNTED = 'test -d /sys/kernel/tracing/events || mount -t tracefs nodev /sys/kernel/tracing; exec "$0" "$@"'


def cpu(pid):
    """CPU time of a process with all its threads so far, in seconds."""
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/schedstat") as file:
            total += int(file.read().split()[0])
    return total / 1e9


class Observer:
    """What looks on: nothing, tcpdump or a trace."""

    def __init__(self, variant, port, cores=None):
        self.variant, self.stats, self.process = variant, os.path.join(WORK, "stats.json"), None
        if variant.startswith("tcpdump"):
            arguments, word = ["tcpdump", "-i", "lo", "-w", "/dev/null", f"tcp port {port}"], "listening"
        elif variant.startswith("trace"):
            front_end = variant.split(", ")[1]
            arguments, word = [PROTAP, "trace", "-p", PLUGIN, "-o", "json", f"--port={port}"], "tracing"
            arguments += ["--front-end", front_end, "--stats-json", self.stats]
            if variant == IDLE:
                arguments = ["chrt", "--idle", "0", *arguments]
            if front_end == "tracepoint":
                arguments = ["unshare", "--mount", "sh", "-c", MOUNTED, *arguments]
        else:
            return
        if cores:
            arguments = ["taskset", "-c", cores, *arguments]
        self.process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        while word not in (line := self.process.stderr.readline()):
            if not line:
                sys.exit(f"{variant}: it does not start")
        time.sleep(0.3)
        self.begin = cpu(self.process.pid)

    def end(self, requests):
        """Its CPU time, all that was left to do included."""
        if not self.process:
            return 0.0
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent = cpu(self.process.pid)
        self.process.send_signal(signal.SIGINT)
        self.process.communicate()
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        whole = sum(getattr(after, field) - getattr(before, field) for field in ("ru_utime", "ru_stime"))
        if self.variant.startswith("trace") and requests:
            with open(self.stats) as file:
                stats = json.load(file)
            lost = {cause: stats["losses"][cause] for cause in ("ring_events", "muted_calls", "gap_bytes", "cap_bytes")}
            assert not any(lost.values()), (self.variant, lost)
            assert sum_of_records(stats) >= requests, (self.variant, stats)
        return max(whole, spent) - self.begin


def sum_of_records(stats):
    return sum(stats["records"]["by_protocol"].get("redis", {}).values())


def drive(server, variant, has_spare=False):
    """Requests a second, and CPU seconds of a request: those of the server, of the client, of what looks on."""
    last = os.cpu_count() - 1
    observer = Observer(variant, PORT, f"1-{last}" if has_spare else None)
    on = "0" if has_spare else f"0-{last}"
    subprocess.run(["taskset", "-a", "-c", "-p", on, str(server)], check=True, stdout=subprocess.DEVNULL)
    of_server = cpu(server)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    run = subprocess.run(
        ["taskset", "-c", on, "redis-benchmark", "-p", str(PORT), "-n", str(REQUESTS), "-c", str(CLIENTS), "-t", "get", "--csv"],
        check=True, capture_output=True, text=True,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    of_client = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    of_server = cpu(server) - of_server
    of_observer = observer.end(REQUESTS)
    rate = float(run.stdout.strip().splitlines()[-1].split(",")[1].strip('"'))
    return rate, (of_server + of_client + of_observer) / REQUESTS * 1e6, of_observer / REQUESTS * 1e6


def time_calls(program, variant):
    """Nanoseconds of a call that is none on a socket, and of one on a socket of no interest."""
    observer = Observer(variant, PORT + 1)
    output = subprocess.run([program], check=True, capture_output=True, text=True).stdout
    observer.end(0)
    return [float(word) for word in output.split()]


def spread(values, form):
    return f"{statistics.median(values):{form}} [{min(values):{form}}, {max(values):{form}}]"


def main():
    repetitions = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    calls = os.path.join(WORK, "calls")
    subprocess.run(["cc", "-O2", "-o", calls, os.path.join(HERE, "calls.c")], check=True)
    server = subprocess.Popen(["redis-server", "--port", str(PORT), "--save", ""], stdout=subprocess.DEVNULL)
    time.sleep(1)
    driven, spared, timed = ({variant: [] for variant in VARIANTS} for _ in range(3))
    try:
        drive(server.pid, BASE)
        for repetition in range(repetitions):
            # Each variant comes at each place in turn.
            at = repetition % len(VARIANTS)
            for variant in VARIANTS[at:] + VARIANTS[:at]:
                driven[variant].append(drive(server.pid, variant))
                spared[variant].append(drive(server.pid, variant, has_spare=True))
                timed[variant].append(time_calls(calls, variant))
            print(f"{repetition + 1} of {repetitions}", file=sys.stderr, flush=True)
    finally:
        server.kill()
        server.wait()
    report(driven, spared, timed, repetitions)


def report(driven, spared, timed, repetitions):
    with open("/proc/cpuinfo") as file:
        model = next(line.split(":")[1].strip() for line in file if line.startswith("model name"))
    print(f"{model}, {os.cpu_count()} CPUs, Linux {platform.release()}, {time.strftime('%Y-%m-%d')}; load {os.getloadavg()[0]:.1f}")
    print(f"{repetitions} repetitions of redis-benchmark -n {REQUESTS} -c {CLIENTS} -t get; median [least, most]\n")
    print("| | requests a second / untraced | the same with a core to spare | CPU of a request / untraced | of it the observer's, µs |"
          " another call, ns more | another socket call, ns more |")
    print("|---|---|---|---|---|---|---|")
    for variant in VARIANTS:
        pairs = list(zip(driven[variant], driven[BASE]))
        more = [[one - base for one, base in zip(*pair)] for pair in zip(timed[variant], timed[BASE])]
        if variant == BASE:
            rates, costs = [run[0] for run in driven[BASE]], [run[1] for run in driven[BASE]]
            alone = statistics.median(run[0] for run in spared[BASE])
            cells = [f"{statistics.median(rates):.0f} requests/s", f"{alone:.0f} requests/s", f"{statistics.median(costs):.1f} µs", ""]
            cells += [f"{statistics.median(column):.0f} ns" for column in zip(*timed[BASE])]
        else:
            cells = [spread([one[0] / base[0] for one, base in pairs], ".2f")]
            cells += [spread([one[0] / base[0] for one, base in zip(spared[variant], spared[BASE])], ".2f")]
            cells += [spread([one[1] / base[1] for one, base in pairs], ".2f")]
            cells += [f"{statistics.median(one[2] for one, _ in pairs):.2f}"]
            cells += [spread(column, ".0f") for column in zip(*more)]
        print(f"| {variant} | " + " | ".join(cells) + " |")


main()
