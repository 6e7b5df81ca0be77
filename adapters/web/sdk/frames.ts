/** The pictures of a track, one by one, for the worker: by the best way that the browser has. */

import { ParlourError } from "./errors.js";

/** How a worker gets them: as a stream, as the track itself, or one by one by a port. @internal */
export type FrameSource =
  | { readonly readable: ReadableStream<VideoFrame> }
  | { readonly track: MediaStreamTrack }
  | { readonly port: MessagePort };

/** What the types of the DOM lack so far. */
type ProcessorOfTracks = new (init: { track: MediaStreamTrack; maxBufferSize?: number }) => { readonly readable: ReadableStream<VideoFrame> };

/** The browser's processor of tracks: Chromium has it in pages, Safari in workers, Firefox nowhere. @internal */
export function processor(): ProcessorOfTracks | undefined {
  return (globalThis as { MediaStreamTrackProcessor?: ProcessorOfTracks }).MediaStreamTrackProcessor;
}

/** A source, what has to be transferred with it, and how to end it. @internal */
export interface Frames {
  readonly source: FrameSource;
  readonly transfer: Transferable[];
  end(): void;
}

/** Makes a track of the page's into a source. `inWorker`: workers have a processor of tracks. @internal */
export function framesOf(track: MediaStreamTrack, inWorker: boolean): Frames {
  const Processor = processor();
  if (Processor) {
    // What waits is late: the newest is enough.
    const { readable } = new Processor({ track, maxBufferSize: 1 });
    // Not once it is transferred: then it is the worker's to end.
    return { source: { readable }, transfer: [readable], end: () => void readable.cancel().catch(() => undefined) };
  }
  if (inWorker) {
    // A copy: the track that was transferred is the page's no longer.
    const copy = track.clone();
    return { source: { track: copy }, transfer: [copy as unknown as Transferable], end: () => copy.stop() };
  }
  return played(track);
}

/** By a video that plays it. Browsers stop that in a window that is minimised, or a page that is hidden. */
function played(track: MediaStreamTrack): Frames {
  const { port1, port2 } = new MessageChannel();
  const video = document.createElement("video");
  if (!video.requestVideoFrameCallback) {
    throw new ParlourError("encoderMissing", "this browser cannot send pictures: use a current Chrome, Edge, Safari, or Firefox on a computer");
  }
  let waiting = 0;
  Object.assign(video, { muted: true, playsInline: true, srcObject: new MediaStream([track]) });
  const next = () => {
    waiting = video.requestVideoFrameCallback((now) => {
      const frame = new VideoFrame(video, { timestamp: Math.round(now * 1_000) });
      port1.postMessage(frame, [frame]);
      next();
    });
  };
  next();
  void video.play().catch(() => undefined);
  return {
    source: { port: port2 },
    transfer: [port2],
    end() {
      video.cancelVideoFrameCallback(waiting);
      video.srcObject = null;
      port1.close();
    },
  };
}

/** Has each picture of a source taken, in the worker. The result ends that. @internal */
export function read(source: FrameSource, take: (frame: VideoFrame) => void): () => void {
  if ("port" in source) {
    source.port.onmessage = ({ data }: MessageEvent<VideoFrame>) => take(data);
    // The page closes it; what is still under way is not taken.
    return () => { source.port.onmessage = ({ data }: MessageEvent<VideoFrame>) => data.close(); };
  }
  const Processor = processor();
  if ("track" in source && !Processor) return () => source.track.stop();
  const readable = "readable" in source ? source.readable : new Processor!({ track: source.track, maxBufferSize: 1 }).readable;
  const reader = readable.getReader();
  let isOver = false;
  const all = async () => {
    for (let read; !(read = await reader.read()).done;) {
      if (isOver) read.value.close();
      else take(read.value);
    }
  };
  void all().catch(() => undefined);
  return () => {
    isOver = true;
    void reader.cancel().catch(() => undefined);
    if ("track" in source) source.track.stop();
  };
}
