/**
 * The participant: the core's client in WebAssembly, its way to the server, the microphone's encoder, and pictures.
 *
 * A dedicated worker, so that neither the page's work nor the throttling of a hidden page's timers holds it up. Sound does not
 * touch the page: it goes between this worker and the worklet by a `MessagePort`.
 */
import init, { Participant, addressOf } from "./generated/participant.js";
import { open, waysOf, type Carriage } from "./carriage.js";
import { ParlourError, plain, revived } from "./errors.js";
import type { FromWorker, ToWorker, WorkerEvent } from "./events.js";
import type { Message, TransportChoice, CarriageName } from "./types.js";
import { startEncoder, type Encoder } from "./encoder.js";
import { Pictures, type PictureRequest } from "./pictures.js";

const MAX_DATAGRAM = 1_200;
/** From one try to connect to the next, in ms: at first, and at most. */
const FIRST_PAUSE = 250, MAX_PAUSE = 5_000;
const LEVELS_MS = 100;

const tell = (message: FromWorker, transfer: Transferable[] = []) => postMessage(message, { transfer });
const clock = () => performance.now();

let running: Running | undefined;

onmessage = ({ data }: MessageEvent<ToWorker>) => {
  if (data.type === "start") {
    start(data).catch((error: unknown) => tell({ type: "failed", error: plain(error) }));
  } else {
    running?.take(data);
  }
};

type Start = Extract<ToWorker, { type: "start" }>;

async function start(asked: Start): Promise<void> {
  const wasm = await init({ module_or_path: asked.module });
  const participant = new Participant(asked.ticket, asked.seed, JSON.stringify(asked.options), clock());
  running = new Running(participant, wasm.memory, asked);
  running.connect();
}

/** Where a participant connects. */
interface Place {
  /** The website of the server. */
  readonly server: string;
  /** The port of the worker. */
  readonly port: number;
  /** What to do if the website is none. */
  readonly hint: string;
}

/** Where a ticket leads. Its website is what the page says, or else a guess: the page's own if that is on the same host. */
function home({ ticket, server, page }: Start): Place {
  const url = new URL(`https://${addressOf(ticket)}`), port = Number(url.port || 443);
  if (server) return { server, port, hint: "check the option `server`" };
  const here = new URL(page), isHere = here.hostname === url.hostname || here.hostname === "localhost";
  const guess = isHere ? here.origin : `https://${url.hostname}`;
  const why = isHere ? "the page's own origin was asked" : "the ticket's host was asked";
  return { server: guess, port, hint: `give the option \`server\`, the address of its API; without it, ${why}` };
}

/** Where a redirect leads: the website is at the same port, perhaps of another machine. */
function elsewhere(from: Place, { host, port }: { host: string | null; port: number }): Place {
  if (host === null) return { ...from, port };
  const url = new URL(from.server);
  url.hostname = host;
  return { server: url.href, port, hint: `the server sent this page there: by https, the certificate has to include ${host}` };
}

/** A command as participant/src/command.rs has it. */
const named = ({ type, ...fields }: { readonly type: string }) => JSON.stringify({ [type]: fields });

/** Who has asked the server for something. */
interface Asker {
  resolve(affected: number | null): void;
  reject(error: unknown): void;
}

class Running {
  readonly #participant: Participant;
  readonly #memory: WebAssembly.Memory;
  readonly #audio: MessagePort;
  readonly #transport: TransportChoice;
  /** Where the ticket leads. */
  readonly #home: Place;
  /** Where to connect, in turn. */
  #places: readonly [Place, ...Place[]];
  #turn = 0;
  #prefer: CarriageName | null;
  #carriage: Carriage | undefined;
  /** Whether there ever was one. */
  #wasConnected = false;
  /** Of carriages that are closed. */
  #unsent = 0;
  /** Counts attempts to connect, so that an outdated one ends. */
  #attempt = 0;
  #pausing: ReturnType<typeof setTimeout> | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #levels: ReturnType<typeof setInterval> | undefined;
  #encoder: Encoder | undefined;
  #key = "";
  #level = 127;
  readonly #pictures: Pictures;
  /** Who waits for the answer of each request. */
  readonly #requests = new Map<number, Asker>();
  #isClosed = false;

  constructor(participant: Participant, memory: WebAssembly.Memory, asked: Start) {
    this.#participant = participant;
    this.#memory = memory;
    this.#audio = asked.audio;
    this.#transport = asked.transport;
    this.#prefer = asked.prefer;
    this.#home = home(asked);
    this.#places = [this.#home];
    this.#pictures = new Pictures({
      participant, clock, tell,
      command: (command) => new Promise((resolve, reject) => this.#command(command, { resolve, reject })),
      pump: () => this.#pump(),
    });
    this.#audio.onmessage = ({ data }: MessageEvent<Float32Array>) => this.#speak(data);
  }

  take(asked: ToWorker): void {
    const { type } = asked;
    if (type === "networkChanged") {
      this.connect();
    } else if (type === "capture") {
      this.#capture(asked).then(() => this.#answer(asked.id, null), (error: unknown) => this.#refuse(asked.id, error));
    } else if (type === "statistics") {
      const figures = JSON.parse(this.#participant.statistics()) as object;
      const unsent = this.#unsent + (this.#carriage?.unsent ?? 0);
      this.#answer(asked.id, { ...figures, carriage: this.#carriage?.name ?? null, datagramsUnsent: unsent });
    } else if (type === "command") {
      this.#command(asked.command, this.#asker(asked.id));
    } else if (type === "message") {
      const { to, topic, body, reliable } = asked;
      this.#request(this.#asker(asked.id), () => this.#participant.sendMessage(to, topic, body, reliable));
    } else if (type !== "start") {
      const done = this.#pictures.take(asked satisfies PictureRequest);
      if ("id" in asked) done.then((value) => this.#answer(asked.id, value ?? null), (error: unknown) => this.#refuse(asked.id, error));
    }
  }

  #command(command: { readonly type: string; readonly [field: string]: unknown }, asker: Asker): void {
    this.#request(asker, () => this.#participant.command(clock(), named(command)));
  }

  /** Has the participant do something; the asker has its answer at once, or when the server has answered. */
  #request(asker: Asker, ask: () => number | undefined): void {
    try {
      const request = ask();
      if (request === undefined) asker.resolve(null);
      else this.#requests.set(request, asker);
    } catch (error) {
      asker.reject(error);
    }
    this.#pump();
  }

  /** The page, with its number. */
  #asker(id: number): Asker {
    return { resolve: (affected) => this.#answer(id, affected), reject: (error) => this.#refuse(id, error) };
  }

  /** Connects, or connects anew, until it succeeds. Only if it never did, it is the page's to try again. */
  connect(pause = 0): void {
    if (this.#isClosed) return;
    const attempt = ++this.#attempt;
    this.#drop();
    clearTimeout(this.#pausing);
    this.#pausing = setTimeout(() => {
      this.#open(attempt).catch((error: unknown) => {
        if (attempt !== this.#attempt || this.#isClosed) return;
        if (!this.#wasConnected) return tell({ type: "failed", error: plain(error) });
        tell({ type: "delayed", error: plain(error) });
        this.#turn++;
        this.connect(Math.min(MAX_PAUSE, pause * 2 || FIRST_PAUSE));
      });
    }, pause);
  }

  async #open(attempt: number): Promise<void> {
    const place = this.#places[this.#turn % this.#places.length] ?? this.#home;
    const ways = await waysOf(place.server, place.hint);
    const receiver = {
      datagram: (datagram: Uint8Array) => this.#receive(datagram),
      closed: () => { if (attempt === this.#attempt) this.connect(); },
    };
    const carriage = await open(ways, place.port, this.#transport, this.#prefer, receiver);
    if (attempt !== this.#attempt || this.#isClosed) return carriage.close();
    this.#carriage = carriage;
    this.#wasConnected = true;
    this.#prefer = carriage.name;
    tell({ type: "carriage", carriage: carriage.name });
    this.#participant.networkChanged(clock());
    this.#pump();
  }

  /** Connects there, or in turn to each of these. */
  #move(...places: [Place, ...Place[]]): void {
    this.#places = places;
    this.#turn = 0;
    this.connect();
  }

  #drop(): void {
    this.#unsent += this.#carriage?.unsent ?? 0;
    this.#carriage?.close();
    this.#carriage = undefined;
  }

  #receive(datagram: Uint8Array): void {
    if (datagram.length > MAX_DATAGRAM) return;
    this.#buffer().set(datagram);
    this.#participant.handleDatagram(clock(), datagram.length);
    const frames = this.#participant.takeFrames();
    if (frames.length) this.#audio.postMessage(frames, [frames.buffer]);
    this.#pump();
  }

  /** Moves on all that the participant has: datagrams, events, messages, the time of its next timeout. */
  #pump(): void {
    if (this.#isClosed) return;
    const participant = this.#participant;
    this.#pictures.pump(clock());
    for (let len; (len = participant.pollTransmit(clock()));) {
      // A copy: it is sent later.
      this.#carriage?.send(this.#buffer().slice(0, len));
    }
    const events: WorkerEvent[] = [];
    for (let event; (event = participant.pollEvent());) {
      const happened = JSON.parse(event) as WorkerEvent;
      if (!this.#handle(happened)) events.push(happened);
    }
    const messages = this.#messages();
    if (events.length || messages.length) tell({ type: "events", events, messages, changes: participant.changes() });
    clearTimeout(this.#timer);
    if (events.some(({ type }) => type === "closed")) return this.#close();
    const due = participant.pollTimeout();
    if (due !== Infinity) this.#timer = setTimeout(() => this.#wake(), Math.max(0, due - clock()));
  }

  #wake(): void {
    this.#participant.handleTimeout(clock());
    this.#pump();
  }

  #messages(): Message[] {
    const messages: Message[] = [];
    for (let message; (message = this.#participant.pollMessage());) {
      const { from, topic, body, reliable } = message;
      message.free();
      messages.push({ from, topic, body, text: new TextDecoder().decode(body), reliable });
    }
    return messages;
  }

  /** Handles what the page has no use for; true if it was that. */
  #handle(event: WorkerEvent): boolean {
    if (event.type === "replied") {
      const asker = this.#requests.get(event.request);
      this.#requests.delete(event.request);
      if (event.error) asker?.reject(revived(event.error));
      else asker?.resolve(event.affected);
      return true;
    }
    if (event.type === "redirected") {
      const from = this.#places[this.#turn % this.#places.length] ?? this.#home;
      const [first, ...others] = event.to.map((place) => elsewhere(from, place));
      if (first) this.#move(first, ...others);
      return true;
    }
    if (event.type === "redirectEnded") {
      this.#move(this.#home);
      return true;
    }
    // A carriage may be dead without a word, as after a change of network that the browser has not noticed.
    if (event.type === "reconnecting" && event.reason === "silence") this.connect(FIRST_PAUSE);
    this.#pictures.happened(event);
    if (event.type === "joined") this.#levels ??= setInterval(() => this.#tellLevels(), LEVELS_MS);
    return event.type === "messageReceived" || event.type === "other";
  }

  #tellLevels(): void {
    const levels = this.#participant.levels(clock(), this.#level);
    this.#level = 127;
    if (levels !== undefined) tell({ type: "levels", levels });
  }

  async #capture({ key, bitrate, dtx, module }: Extract<ToWorker, { type: "capture" }>): Promise<void> {
    this.#encoder ??= await startEncoder(module);
    this.#encoder.open(bitrate, dtx);
    this.#key = key;
  }

  #speak(pcm: Float32Array): void {
    if (!this.#encoder || this.#isClosed) return;
    const now = clock();
    this.#encoder.encode(now, pcm, this.#participant.uplinkLoss(), (timestamp, level, payload) => {
      this.#level = Math.min(this.#level, level);
      try {
        this.#participant.sendAudio(now, this.#key, timestamp, level, payload);
      } catch { /* Muted, or not joined at the moment: there is nobody to hear it. */ }
    });
    this.#pump();
  }

  #close(): void {
    this.#isClosed = true;
    this.#attempt++;
    clearInterval(this.#levels);
    this.#drop();
    this.#pictures.close();
    for (const { reject } of this.#requests.values()) reject(new ParlourError("closed", "the room is closed: join it again"));
  }

  #answer(id: number, value: unknown): void {
    tell({ type: "answer", id, value });
  }

  #refuse(id: number, error: unknown): void {
    tell({ type: "answer", id, error: plain(error) });
  }

  /** Made anew each time: the memory may have grown. */
  #buffer(): Uint8Array<ArrayBuffer> {
    return new Uint8Array(this.#memory.buffer as ArrayBuffer, this.#participant.buffer(), MAX_DATAGRAM);
  }
}
