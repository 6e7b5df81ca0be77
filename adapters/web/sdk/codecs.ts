/** Which codecs of pictures this browser has, in the worker. */
import { ParlourError } from "./errors.js";

/** @internal */
export type PictureCodec = "h264" | "vp8";

/** What is to be encoded. @internal */
export interface PictureSettings {
  readonly width: number;
  readonly height: number;
  readonly frameRate: number;
  readonly bitrate: number;
  /** Letters and lines, rather than faces. */
  readonly isText: boolean;
}

/** A way to encode that this browser has. @internal */
export interface Encoding {
  readonly codec: PictureCodec;
  /** With three temporal layers, of which those above can be left out. */
  readonly isLayered: boolean;
}

/** Constrained baseline of the least level that has so large a picture: 3.1 has 1280 × 720, 4.0 has 1920 × 1080, 5.1 all else. */
const h264 = (width: number, height: number) => {
  const blocks = Math.ceil(width / 16) * Math.ceil(height / 16);
  return `avc1.42e0${blocks <= 3_600 ? "1f" : blocks <= 8_192 ? "28" : "33"}`;
};

/** The settings of an encoder. @internal */
export function configurationOf({ codec, isLayered }: Encoding, { width, height, frameRate, bitrate, isText }: PictureSettings): VideoEncoderConfig {
  return {
    codec: codec === "h264" ? h264(width, height) : "vp8",
    width, height, bitrate, framerate: frameRate, latencyMode: "realtime", bitrateMode: "variable",
    ...(codec === "h264" && { avc: { format: "annexb" } }),
    ...(isLayered && { scalabilityMode: "L1T3" }),
    ...(isText && { contentHint: "text" }),
  } as VideoEncoderConfig;
}

/** The first of H.264 and VP8 that this browser encodes and decodes: so it shows what others see. @internal */
export async function chooseEncoding(settings: PictureSettings): Promise<Encoding> {
  if (!("VideoEncoder" in globalThis) || !("VideoDecoder" in globalThis)) {
    throw new ParlourError("encoderMissing", "this browser cannot send pictures: use a current Chrome, Edge, Safari, or Firefox on a computer");
  }
  const can = async (encoding: Encoding) => {
    const asked = configurationOf(encoding, settings);
    const [encoder, decoder] = await Promise.all([
      VideoEncoder.isConfigSupported(asked).catch(() => undefined),
      VideoDecoder.isConfigSupported({ codec: asked.codec }).catch(() => undefined),
    ]);
    return encoder?.supported === true && decoder?.supported === true;
  };
  for (const codec of ["h264", "vp8"] as const) {
    // Letters are read, not watched: they need no rates to choose from.
    if (!settings.isText && await can({ codec, isLayered: true })) return { codec, isLayered: true };
    if (await can({ codec, isLayered: false })) return { codec, isLayered: false };
  }
  throw new ParlourError("encoderMissing", "this browser encodes neither H.264 nor VP8: use a current Chrome, Edge, Safari or Firefox");
}

/** What a decoder has to know of a codec, by a key picture of it; nothing, if that is none. @internal */
export function codecOf(codec: string, picture: Uint8Array): string | undefined {
  if (codec === "vp8") return "vp8";
  if (codec !== "h264") return undefined;
  // The first unit of a key picture that tells profile and level.
  for (let at = 0; at + 7 < picture.length && at < 256; at++) {
    const isStart = picture[at] === 0 && picture[at + 1] === 0 && picture[at + 2] === 1;
    if (!isStart || (picture[at + 3]! & 31) !== 7) continue;
    const hex = [...picture.subarray(at + 4, at + 7)].map((byte) => byte.toString(16).padStart(2, "0"));
    return `avc1.${hex.join("")}`;
  }
  return undefined;
}
