// Sound of the microphone and of files, as 16-bit samples of one channel, 16,000 a second.
"use strict";

const RATE = 16000;

function samples(wave) {
  const out = new Int16Array(wave.length);
  for (let i = 0; i < wave.length; i++) out[i] = Math.max(-32768, Math.min(32767, Math.round(wave[i] * 32767)));
  return out;
}

class Microphone {
  // give(samples, level) is called with each piece.
  async open(give) {
    this.stream = await navigator.mediaDevices.getUserMedia({
      audio: {channelCount: 1, echoCancellation: true, noiseSuppression: true, autoGainControl: true},
    });
    this.context = new AudioContext();
    await this.context.audioWorklet.addModule("static/worklet.js");
    const node = new AudioWorkletNode(this.context, "to-16000", {numberOfOutputs: 0});
    node.port.onmessage = ({data}) => give(samples(data), Math.sqrt(data.reduce((sum, x) => sum + x * x, 0) / data.length));
    this.context.createMediaStreamSource(this.stream).connect(node);
  }

  close() {
    this.stream?.getTracks().forEach(track => track.stop());
    this.context?.close();
    this.stream = this.context = null;
  }
}

async function samplesOf(file) {
  const context = new OfflineAudioContext(1, 1, RATE);
  const sound = await context.decodeAudioData(await file.arrayBuffer());
  const mixed = new OfflineAudioContext(1, sound.length, RATE);
  const source = mixed.createBufferSource();
  source.buffer = sound;
  source.connect(mixed.destination);
  source.start();
  return samples((await mixed.startRendering()).getChannelData(0));
}
