/** All pictures of a room in the worker: those that the page publishes, and those that it watches. */
import { chooseEncoding } from "./codecs.js";
import { plain } from "./errors.js";
import type { FromWorker, ToWorker, WorkerEvent } from "./events.js";
import { Film } from "./film.js";
import { processor } from "./frames.js";
import type { Participant } from "./generated/participant.js";
import { Projector } from "./projector.js";
import type { StreamName } from "./types.js";

/** How often frozen pictures are looked for, in ms. */
const LOOK_MS = 250;

/** What is asked for by the page. @internal */
export type PictureRequest = Extract<ToWorker, { type: "publishPictures" | "unpublishPictures" | "showFrames" | "watch" | "watchShown" | "watchKind" | "unwatch" | "hasProcessor" }>;

/** What the pictures need of the worker. @internal */
export interface Desk {
  readonly participant: Participant;
  clock(): number;
  tell(message: FromWorker): void;
  /** Gives the participant a command; resolves when it is answered. */
  command(command: { readonly type: string; readonly [field: string]: unknown }): Promise<unknown>;
  /** Has all that is due sent. */
  pump(): void;
}

/** One watched stream, however often it is shown. */
interface Watched {
  /** Its number for the participant. */
  readonly id: number;
  readonly stream: StreamName;
  kind: "video" | "screen";
  readonly projector: Projector;
  /** The page's watches of it, and those of them that can be seen. */
  readonly watches: Set<number>;
  readonly shown: Set<number>;
  isSubscribed: boolean;
}

const nameOf = ({ participant, key }: StreamName) => `${participant}/${key}`;

/** @internal */
export class Pictures {
  readonly #desk: Desk;
  readonly #films = new Map<string, Film>();
  readonly #watched = new Map<string, Watched>();
  /** The stream of each of the page's watches. */
  readonly #byWatch = new Map<number, Watched>();
  #look: ReturnType<typeof setInterval> | undefined;
  #count = 0;

  constructor(desk: Desk) {
    this.#desk = desk;
  }

  /** Does what the page asks for; resolves with the answer, if it waits for one. */
  async take(asked: PictureRequest): Promise<unknown> {
    switch (asked.type) {
      case "publishPictures": return this.#publish(asked);
      case "unpublishPictures": return this.#unpublish(asked.key);
      case "showFrames": return this.#films.get(asked.key)?.show(asked.source);
      case "watch": return this.#watch(asked);
      case "watchShown": return this.#show(asked.watch, asked.isShown);
      case "watchKind": return this.#setKind(asked.watch, asked.kind);
      case "hasProcessor": return processor() !== undefined;
      case "unwatch": return this.#unwatch(asked.watch);
    }
  }

  /** Gives what has come to the decoders. */
  pump(now: number): void {
    for (const { id, isSubscribed, projector } of this.#watched.values()) {
      if (!isSubscribed) continue;
      for (let picture; (picture = this.#desk.participant.pollPicture(now, id));) {
        const { codec, isKey, isDiscardable, timestamp, bytes } = picture;
        picture.free();
        projector.take({ codec, isKey, isDiscardable, timestamp, bytes });
      }
    }
  }

  /** A stream that comes back is watched again, and pictures that could not come until now are not missed. */
  happened(event: WorkerEvent): void {
    if (event.type === "joined") {
      for (const { projector } of this.#watched.values()) projector.expect(performance.now());
    }
    if (event.type !== "streamPublished" && event.type !== "streamMuted") return;
    const watched = this.#watched.get(nameOf(event.stream));
    if (!watched) return;
    if (event.type === "streamMuted") return watched.projector.expect(performance.now());
    watched.isSubscribed = false;
    watched.projector.renew(watched.kind);
    // Once all that has happened is told.
    queueMicrotask(() => this.#subscribe(watched));
  }

  close(): void {
    clearInterval(this.#look);
    for (const film of this.#films.values()) film.close();
    for (const { projector } of this.#watched.values()) projector.pause();
    this.#films.clear();
    this.#watched.clear();
  }

  // Those that the page publishes

  async #publish({ key, kind, muted, settings }: Extract<ToWorker, { type: "publishPictures" }>): Promise<void> {
    const encoding = await chooseEncoding(settings);
    await this.#desk.command({ type: "publishPictures", key, kind, codec: encoding.codec, muted });
    const isLarge = kind === "screen";
    this.#desk.participant.openPictures(key, encoding.codec, settings.bitrate, isLarge);
    this.#films.get(key)?.close();
    this.#films.set(key, new Film(encoding, settings, this.#sink(key, isLarge)));
  }

  async #unpublish(key: string): Promise<void> {
    this.#films.get(key)?.close();
    this.#films.delete(key);
    this.#desk.participant.closePictures(key);
    await this.#desk.command({ type: "unpublish", key });
  }

  /** Of a screen, a picture is sent before the next one is encoded: it is large. */
  #sink(key: string, isLarge: boolean): ConstructorParameters<typeof Film>[2] {
    const { participant, clock, pump, tell } = this.#desk;
    return {
      send({ bytes, timestamp, temporalLayer, discardable }) {
        participant.sendPicture(clock(), key, timestamp, temporalLayer, discardable, bytes);
        pump();
      },
      takeKeyWanted: () => participant.takeKeyWanted(clock(), key),
      wantedRate: () => participant.wantedRate(key),
      isBusy: () => participant.isBusy(key, isLarge),
      failed: (error) => tell({ type: "picturesFailed", key, error: plain(error) }),
    };
  }

  // Those that it watches

  #watch({ watch, stream, kind, canvas }: Extract<ToWorker, { type: "watch" }>): void {
    const name = nameOf(stream);
    const watched = this.#watched.get(name) ?? this.#added(name, stream, kind);
    watched.watches.add(watch);
    this.#byWatch.set(watch, watched);
    watched.projector.add(watch, canvas);
    const { failure } = watched.projector;
    if (failure) this.#desk.tell({ type: "watchFailed", watch, error: plain(failure) });
  }

  #added(name: string, stream: StreamName, kind: "video" | "screen"): Watched {
    const id = ++this.#count, watches = new Set<number>();
    const each = (message: (watch: number) => FromWorker) => { for (const watch of watches) this.#desk.tell(message(watch)); };
    const projector = new Projector(kind, {
      seen: (seen) => each((watch) => ({ type: "seen", watch, seen })),
      lost: () => { this.#desk.participant.requestKey(id); this.#desk.pump(); },
      failed: (error) => each((watch) => ({ type: "watchFailed", watch, error: plain(error) })),
    });
    const watched = { id, stream, kind, projector, watches, shown: new Set<number>(), isSubscribed: false };
    this.#watched.set(name, watched);
    this.#look ??= setInterval(() => this.#lookAtAll(), LOOK_MS);
    return watched;
  }

  #lookAtAll(): void {
    const now = performance.now();
    for (const { isSubscribed, projector } of this.#watched.values()) if (isSubscribed) projector.look(now);
  }

  #show(watch: number, isShown: boolean): void {
    const watched = this.#byWatch.get(watch);
    if (!watched) return;
    if (isShown) watched.shown.add(watch);
    else watched.shown.delete(watch);
    this.#subscribe(watched);
  }

  /** A screen needs more memory than a camera: what was prepared for the other kind is prepared anew. */
  #setKind(watch: number, kind: "video" | "screen"): void {
    const watched = this.#byWatch.get(watch);
    if (!watched || watched.kind === kind) return;
    watched.kind = kind;
    watched.projector.renew(kind);
    if (!watched.isSubscribed) return;
    const { id, stream } = watched;
    this.#desk.participant.unwatch(id);
    this.#desk.participant.watch(id, stream.participant, stream.key, kind === "screen");
    this.#desk.participant.requestKey(id);
  }

  #unwatch(watch: number): void {
    const watched = this.#byWatch.get(watch);
    if (!watched) return;
    this.#byWatch.delete(watch);
    watched.watches.delete(watch);
    watched.shown.delete(watch);
    const isLast = watched.projector.remove(watch);
    this.#subscribe(watched);
    if (isLast) this.#watched.delete(nameOf(watched.stream));
    if (this.#watched.size === 0) {
      clearInterval(this.#look);
      this.#look = undefined;
    }
  }

  /** Has the stream come if somebody can see it, and not otherwise. */
  #subscribe(watched: Watched): void {
    const { id, stream, kind, shown, projector } = watched, isWanted = shown.size > 0;
    if (isWanted === watched.isSubscribed) return;
    watched.isSubscribed = isWanted;
    const named = { participant: stream.participant, key: stream.key };
    if (!isWanted) {
      projector.pause();
      this.#desk.participant.unwatch(id);
      this.#desk.command({ type: "unsubscribe", stream: named }).catch(() => undefined);
      return;
    }
    projector.expect(performance.now());
    this.#desk.participant.watch(id, stream.participant, stream.key, kind === "screen");
    this.#desk.command({ type: "subscribe", stream: named }).catch((error: unknown) => {
      watched.isSubscribed = false;
      this.#desk.participant.unwatch(id);
      const refusal = plain(error);
      // It is not there now; if it comes, it is subscribed to.
      if (refusal.code === "unknownStream" || refusal.code === "closed") return;
      for (const watch of watched.watches) this.#desk.tell({ type: "watchFailed", watch, error: refusal });
    });
  }
}
