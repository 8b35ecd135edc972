#!/usr/bin/env python3
"""Keeps `auricle serve` and `auricle train` under load for a bounded time, and watches their memory.

    tools/soak/soak.py serve --secs 3600     sessions, floods, half sessions; memory must stay flat
    tools/soak/soak.py train --secs 3600     a small training is killed and resumed until the time is over;
                                             its weights must equal those of one that was left alone

Needs Linux (/proc) and a built program (target/release/auricle, or AURICLE=PATH). Standard library only.
Everything stays on 127.0.0.1. Exit status 1 where something grew, died or differed.
"""

import argparse
import base64
import json
import os
import random
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.request

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
PROGRAM = os.environ.get("AURICLE", os.path.join(ROOT, "target", "release", "auricle"))
RATE = 16_000


def resident_mib(pid):
    with open(f"/proc/{pid}/status") as status:
        return int(re.search(r"VmRSS:\s+(\d+)", status.read()).group(1)) / 1024


class Session:
    """A WebSocket client, as far as this needs one."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        key = base64.b64encode(random.randbytes(16)).decode()
        self.socket.sendall(
            f"GET /session HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        answer = b""
        while b"\r\n\r\n" not in answer:
            piece = self.socket.recv(4096)
            if not piece:
                raise ConnectionError("closed before the answer")
            answer += piece
        if b" 101 " not in answer.split(b"\r\n")[0]:
            raise ConnectionError(answer.split(b"\r\n")[0].decode(errors="replace"))
        self.rest = answer.split(b"\r\n\r\n", 1)[1]

    def send(self, payload):
        code, data = (1, payload.encode()) if isinstance(payload, str) else (2, payload)
        mask = random.randbytes(4)
        length = len(data)
        head = bytes([0x80 | code])
        head += bytes([0x80 | length]) if length < 126 else bytes([0x80 | 126]) + struct.pack(">H", length)
        self.socket.sendall(head + mask + bytes(b ^ mask[i % 4] for i, b in enumerate(data)))

    def _read(self, count):
        while len(self.rest) < count:
            piece = self.socket.recv(65536)
            if not piece:
                raise ConnectionError("closed")
            self.rest += piece
        data, self.rest = self.rest[:count], self.rest[count:]
        return data

    def receive(self):
        """The next text message; `None` where the server closes."""
        while True:
            first, length = self._read(2)
            length &= 0x7F
            if length == 126:
                length = struct.unpack(">H", self._read(2))[0]
            elif length == 127:
                length = struct.unpack(">Q", self._read(8))[0]
            data = self._read(length)
            if first & 0x0F == 1:
                return json.loads(data)
            if first & 0x0F == 8:
                return None


def sound(secs):
    return struct.pack(f"<{int(secs * RATE)}h", *(random.randint(-3000, 3000) for _ in range(int(secs * RATE))))


def one_session(port, whole):
    session = Session(port)
    session.send(json.dumps({"type": "start", "prompt": "we call it bear", "sample_rate": RATE, "encoding": "s16le"}))
    for _ in range(random.randint(5, 40)):
        session.send(sound(0.04))
    if not whole:
        # Gone in the middle of a sentence.
        session.socket.close()
        return
    session.send(json.dumps({"type": "stop"}))
    while (message := session.receive()) is not None and message["type"] != "final":
        if message["type"] == "error":
            raise ConnectionError(message["message"])
    session.socket.close()


def serve(secs):
    port = 18765
    server = subprocess.Popen([PROGRAM, "serve", "--port", str(port)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    server.stdout.readline()
    sessions, refused, after_warm_up, end = 0, 0, None, time.time() + secs
    told = time.time()
    try:
        while time.time() < end:
            try:
                one_session(port, whole=random.random() < 0.7)
                sessions += 1
            except (ConnectionError, TimeoutError, socket.timeout) as error:
                refused += 1
                if server.poll() is not None:
                    raise SystemExit(f"the server died with status {server.returncode}: {error}")
            if random.random() < 0.1:
                # Rubbish, and a client that says nothing.
                with socket.create_connection(("127.0.0.1", port), timeout=5) as stranger:
                    stranger.sendall(random.randbytes(random.randint(0, 2000)))
            if after_warm_up is None and sessions >= 50:
                after_warm_up = resident_mib(server.pid)
            if time.time() - told > 60:
                told = time.time()
                print(f"{sessions} sessions, {refused} refused, {resident_mib(server.pid):.0f} MiB", flush=True)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=30) as health:
            print("health", health.read().decode())
        last = resident_mib(server.pid)
    finally:
        server.send_signal(signal.SIGTERM)
    if server.wait(timeout=30) != 0:
        raise SystemExit(f"the server ended with status {server.returncode}")
    print(f"{sessions} sessions, {refused} refused; {after_warm_up or last:.0f} MiB after 50 sessions, {last:.0f} MiB at the end")
    if after_warm_up and last > after_warm_up * 1.2 + 20:
        raise SystemExit("memory grew")


def train(secs):
    folder = tempfile.mkdtemp(prefix="auricle-soak-")
    recipe = os.path.join(ROOT, "recipes", "quickstart", "ctc_from_scratch.toml")
    corpus = os.path.join(folder, "corpus")
    try:
        with tarfile.open(os.path.join(ROOT, "crates", "data", "builtin", "corpus.tar")) as archive:
            archive.extractall(corpus, filter="data")
        lists = [f'data.train=["{corpus}/manifest.jsonl"]', f'data.validation=["{corpus}/manifest.jsonl"]']
        small = ["train.steps=40", "schedule.total_steps=40", "train.checkpoint_every=5", "train.validate_every=20"]
        settings = [argument for value in lists + small for argument in ("--set", value)]

        def command(run, *more):
            return [PROGRAM, "train", recipe, "--run", os.path.join(folder, run), "--quiet", *settings, *more]

        subprocess.run(command("whole"), check=True, stdout=subprocess.DEVNULL)
        with open(os.path.join(folder, "whole", "model.safetensors"), "rb") as file:
            expected = file.read()
        end, rounds, kills = time.time() + secs, 0, 0
        while time.time() < end:
            run = f"killed-{rounds}"
            more = []
            while True:
                process = subprocess.Popen(command(run, *more), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                try:
                    status = process.wait(timeout=random.uniform(1, 20))
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
                    kills += 1
                    more = ["--resume"]
                    continue
                if status != 0:
                    raise SystemExit(f"a resumed training ended with status {status}")
                break
            with open(os.path.join(folder, run, "model.safetensors"), "rb") as file:
                if file.read() != expected:
                    raise SystemExit(f"round {rounds}: the weights differ from those of the undisturbed training")
            shutil.rmtree(os.path.join(folder, run))
            rounds += 1
        print(f"{rounds} trainings, killed {kills} times: weights equal to the bit")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["serve", "train"])
    parser.add_argument("--secs", type=float, default=600)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    random.seed(arguments.seed)
    {"serve": serve, "train": train}[arguments.what](min(arguments.secs, 24 * 3600))


if __name__ == "__main__":
    sys.exit(main())
