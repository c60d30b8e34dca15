// The microphone's sound at 16,000 samples a second, in pieces of 20 ms. Each sample is a mean, which damps what is too high.
"use strict";

class To16000 extends AudioWorkletProcessor {
  constructor() {
    super();
    this.step = sampleRate / 16000;
    this.left = this.step;
    this.sum = this.weight = 0;
    this.piece = [];
  }

  process([[channel]]) {
    for (const value of channel ?? []) {
      let share = 1;
      while (share >= this.left) {
        this.sum += value * this.left;
        this.piece.push((this.sum) / (this.weight + this.left));
        share -= this.left;
        this.sum = this.weight = 0;
        this.left = this.step;
      }
      this.sum += value * share;
      this.weight += share;
      this.left -= share;
    }
    if (this.piece.length >= 320) {
      this.port.postMessage(Float32Array.from(this.piece));
      this.piece = [];
    }
    return true;
  }
}

registerProcessor("to-16000", To16000);
