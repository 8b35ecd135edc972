// A recording: microphone → 16-bit pieces → the server, and back its events. It is kept for playback.

// Browser settings that change speech are off: the model wants it as it was said.
const MICROPHONE = {
  audio: { channelCount: 1, echoCancellation: false, noiseSuppression: false, autoGainControl: false },
};
// Sound that may wait for a slow connection before the recording is given up, in seconds.
const MOST_WAITING_SECS = 5;

let context = null;

// The browser allows sound only after a gesture; called from one.
export async function audioContext() {
  if (!context) {
    context = new AudioContext();
    await context.audioWorklet.addModule("capture.js");
  }
  if (context.state === "suspended") await context.resume();
  return context;
}

function microphoneError(error) {
  switch (error.name) {
    case "NotAllowedError":
      return "The microphone is not allowed for this page. Allow it in the address bar, then try again.";
    case "NotFoundError":
      return "There is no microphone. Plug one in, then try again.";
    case "NotReadableError":
      return "Another program is using the microphone. Close it, then try again.";
    default:
      return `The microphone cannot be used: ${error.message}`;
  }
}

export class Recording {
  // `on` has functions: ready(event), partial(event), verdict(event), final(event), level(peak), error(message), end().
  constructor(prompt, on) {
    this.prompt = prompt;
    this.on = on;
    this.pieces = [];
    this.state = "opening";
  }

  async start() {
    if (!navigator.mediaDevices || !window.AudioWorkletNode) {
      return this.fail("Browsers give the microphone only to pages from localhost or by https. Open this page there.");
    }
    try {
      const audio = await audioContext();
      this.rate = audio.sampleRate;
      this.stream = await navigator.mediaDevices.getUserMedia(MICROPHONE);
      this.source = audio.createMediaStreamSource(this.stream);
    } catch (error) {
      return this.fail(microphoneError(error));
    }
    if (this.state !== "opening") return this.release();
    this.stream.getAudioTracks()[0].onended = () => this.stop();
    const url = new URL("session", location.href);
    url.protocol = url.protocol.replace("http", "ws");
    this.socket = new WebSocket(url);
    this.socket.onopen = () =>
      this.send({ type: "start", prompt: this.prompt, sample_rate: this.rate, encoding: "s16le" });
    this.socket.onmessage = (message) => this.hear(JSON.parse(message.data));
    this.socket.onclose = () => this.fail("The connection to the server was lost. Is it still running?");
  }

  send(request) {
    this.socket.send(JSON.stringify(request));
  }

  hear(event) {
    if (this.state === "over") return;
    if (event.type === "ready") {
      this.record();
      this.on.ready(event);
    } else if (event.type === "final") {
      this.end();
      this.on.final(event);
      this.on.end();
    } else if (event.type === "error") {
      this.fail(event.message);
    } else {
      this.on[event.type]?.(event);
    }
  }

  record() {
    if (this.state !== "opening") return;
    this.state = "recording";
    this.node = new AudioWorkletNode(this.source.context, "capture", { numberOfOutputs: 0 });
    this.node.port.onmessage = ({ data }) => {
      if (data === null) {
        this.release();
        this.send({ type: "stop" });
      } else {
        this.take(data);
      }
    };
    this.source.connect(this.node);
  }

  take(piece) {
    if (this.state === "over" || piece.length === 0) return;
    this.pieces.push(piece);
    const samples = new DataView(new ArrayBuffer(2 * piece.length));
    let peak = 0;
    piece.forEach((x, i) => {
      peak = Math.max(peak, Math.abs(x));
      samples.setInt16(2 * i, Math.max(-32768, Math.min(32767, Math.round(x * 32768))), true);
    });
    this.on.level(peak);
    if (this.socket.bufferedAmount > 2 * this.rate * MOST_WAITING_SECS) {
      return this.fail("The server cannot keep up. Try again in a minute.");
    }
    this.socket.send(samples.buffer);
  }

  stop() {
    if (this.state === "opening") {
      this.end();
      this.on.end();
    } else if (this.state === "recording") {
      this.state = "judging";
      this.node.port.postMessage("stop");
    }
  }

  fail(message) {
    if (this.state === "over") return;
    this.end();
    this.on.error(message);
    this.on.end();
  }

  end() {
    this.state = "over";
    this.release();
    if (this.socket) {
      this.socket.onclose = null;
      this.socket.close();
    }
  }

  release() {
    this.source?.disconnect();
    this.stream?.getTracks().forEach((track) => track.stop());
  }

  // Plays a stretch of what was recorded; resolves when it is over.
  async play(from, to) {
    const audio = await audioContext();
    const length = this.pieces.reduce((sum, piece) => sum + piece.length, 0);
    const first = Math.max(0, Math.floor(from * this.rate));
    const last = Math.min(length, Math.ceil(to * this.rate));
    if (last <= first) return;
    const buffer = audio.createBuffer(1, last - first, this.rate);
    let at = 0;
    for (const piece of this.pieces) {
      const begin = Math.max(first, at);
      const end = Math.min(last, at + piece.length);
      if (begin < end) buffer.copyToChannel(piece.subarray(begin - at, end - at), 0, begin - first);
      at += piece.length;
    }
    playing?.stop();
    const player = audio.createBufferSource();
    player.buffer = buffer;
    player.connect(audio.destination);
    player.start();
    playing = player;
    await new Promise((resolve) => (player.onended = resolve));
  }
}

let playing = null;
