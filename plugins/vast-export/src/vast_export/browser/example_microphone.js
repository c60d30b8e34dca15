// The microphone's sound at the avatar's sample rate, in pieces of 20 ms. Each sample is a mean, which damps what is too high.
class Microphone extends AudioWorkletProcessor {
  constructor({processorOptions}) {
    super();
    this.rate = processorOptions.rate;
    this.step = sampleRate / this.rate;
    this.left = this.step;
    this.sum = 0;
    this.piece = [];
  }

  process([[channel]]) {
    for (const value of channel ?? []) {
      let share = 1;
      while (share >= this.left) {
        this.piece.push((this.sum + value * this.left) / this.step);
        share -= this.left;
        this.sum = 0;
        this.left = this.step;
      }
      this.sum += value * share;
      this.left -= share;
    }
    if (this.piece.length >= 0.02 * this.rate) {
      this.port.postMessage(Float32Array.from(this.piece));
      this.piece = [];
    }
    return true;
  }
}

registerProcessor("microphone", Microphone);
