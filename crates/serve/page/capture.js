// Runs in the audio thread: collects the microphone's samples into pieces of about 40 ms.
class Capture extends AudioWorkletProcessor {
  constructor() {
    super();
    this.piece = new Float32Array(Math.round(sampleRate * 0.04));
    this.filled = 0;
    this.open = true;
    this.port.onmessage = () => {
      // What is left over when recording ends.
      this.port.postMessage(this.piece.slice(0, this.filled));
      this.port.postMessage(null);
      this.open = false;
    };
  }

  process(inputs) {
    const channels = inputs[0];
    if (!this.open || channels.length === 0) return this.open;
    for (let i = 0; i < channels[0].length; i++) {
      let sum = 0;
      for (const channel of channels) sum += channel[i];
      this.piece[this.filled++] = sum / channels.length;
      if (this.filled === this.piece.length) {
        this.port.postMessage(this.piece.slice());
        this.filled = 0;
      }
    }
    return true;
  }
}

registerProcessor("capture", Capture);
