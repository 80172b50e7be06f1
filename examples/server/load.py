"""Load on loopback: `python examples/server/load.py MAP` starts the server, asks it from several clients, measures."""

import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx2 as httpx
import numpy as np

import brenier

SECONDS = 10.0
CLIENTS = 4


def free_port() -> int:
    """A port that nobody listens to."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def start(map_file: Path, port: int) -> subprocess.Popen[bytes]:
    """The server, once it answers."""
    folder = Path(__file__).parent
    command = [sys.executable, "-m", "uvicorn", "app:app", "--port", str(port), "--log-level", "warning"]
    server = subprocess.Popen(command, cwd=folder, env={**os.environ, "BRENIER_MAP": str(map_file.resolve())})
    while True:
        if server.poll() is not None:
            raise SystemExit(f"the server ended with code {server.returncode}")
        try:
            httpx.get(f"http://127.0.0.1:{port}/map").raise_for_status()
        except httpx.TransportError:
            time.sleep(0.2)
        else:
            return server


def ask(url: str, points: list[list[float]], until: float, times: list[float]) -> None:
    """One client, which asks again as soon as it has an answer."""
    with httpx.Client(timeout=60.0) as client:
        while (since := time.perf_counter()) < until:
            client.post(url, json={"points": points}).raise_for_status()
            times.append(time.perf_counter() - since)


def measure(port: int, path: str, points: list[list[float]]) -> str:
    """Requests a second, points a second and latencies, as a row of a table."""
    times: list[float] = []
    began = time.perf_counter()
    url, until = f"http://127.0.0.1:{port}{path}", began + SECONDS
    clients = [threading.Thread(target=ask, args=(url, points, until, times)) for _ in range(CLIENTS)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    took = time.perf_counter() - began
    median, late = (1e3 * float(np.quantile(times, share)) for share in (0.5, 0.99))
    rate = len(times) / took
    return f"| {path} | {len(points)} | {rate:,.0f} | {rate * len(points):,.0f} | {median:.1f} | {late:.1f} |"


def main() -> None:
    """Measure both ways with requests of several sizes."""
    map_file = Path(sys.argv[1])
    map_ = brenier.TransportMap.load(map_file)
    port = free_port()
    server = start(map_file, port)
    rng = np.random.default_rng(0)
    sys.stdout.write(
        "| path | points a request | requests/s | points/s | median ms | 99 % ms |\n|---|---|---|---|---|---|\n"
    )
    try:
        for rows in (1, 100, 5000):
            source = map_.geometry.leave_x(rng.normal(size=(rows, map_.dim)))
            for path, points in (("/transform", source), ("/inverse", map_.forward(source))):
                sys.stdout.write(measure(port, path, points.tolist()) + "\n")
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    main()
