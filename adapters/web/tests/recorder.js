// Keeps what is given to it, for the tests: the page's own clock says what was when.
class Recorder extends AudioWorkletProcessor {
  constructor() {
    super();
    this.pieces = [];
    this.port.onmessage = () => {
      this.port.postMessage(this.pieces);
      this.pieces = [];
    };
  }

  process([[heard]]) {
    this.pieces.push(heard ? heard.slice() : new Float32Array(128));
    return true;
  }
}
registerProcessor("recorder", Recorder);
