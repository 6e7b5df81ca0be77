/**
 * The participant: the core's client in WebAssembly, its way to the server, and the microphone's encoder.
 *
 * A dedicated worker, so that neither the page's work nor the throttling of a hidden page's timers holds it up. Sound does not
 * touch the page: it goes between this worker and the worklet by a `MessagePort`.
 */
import init, { Participant, addressOf } from "./generated/participant.js";
import { open, waysOf, type Carriage } from "./carriage.js";
import { ParlourError, plain } from "./errors.js";
import type { FromWorker, ToWorker, WorkerEvent } from "./events.js";
import type { Message, TransportChoice, CarriageName } from "./types.js";
import { loadEncoder, type Encoder } from "./encoder.js";

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
  let wasm;
  try {
    wasm = await init({ module_or_path: new URL("./participant.wasm", import.meta.url) });
  } catch (cause) {
    const message = "participant.wasm cannot be loaded: serve it beside worker.js as application/wasm, and allow 'wasm-unsafe-eval'";
    throw new ParlourError("loadFailed", `${message} (${plain(cause).message})`);
  }
  const participant = new Participant(asked.ticket, asked.seed, JSON.stringify(asked.options), clock());
  running = new Running(participant, wasm.memory, asked, serverOf(asked));
  await running.connect();
}

/** The website of a ticket's server, unless the page says another: the page's own if that is on the same host. */
function serverOf({ ticket, server, page }: Start): string {
  if (server) return server;
  const { hostname } = new URL(`https://${addressOf(ticket)}`);
  const here = new URL(page);
  return here.hostname === hostname || here.hostname === "localhost" ? here.origin : `https://${hostname}`;
}

class Running {
  readonly #participant: Participant;
  readonly #memory: WebAssembly.Memory;
  readonly #audio: MessagePort;
  readonly #server: string;
  readonly #transport: TransportChoice;
  readonly #ticketPort: number;
  #prefer: CarriageName | null;
  #port: number;
  #carriage: Carriage | undefined;
  /** Of carriages that are closed. */
  #unsent = 0;
  /** Counts attempts to connect, so that an outdated one ends. */
  #attempt = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #levels: ReturnType<typeof setInterval> | undefined;
  #isQuiet = true;
  #encoder: Encoder | undefined;
  #key = "";
  #level = 127;
  /** The page's number of each request that has no answer. */
  readonly #requests = new Map<number, number>();
  #isClosed = false;

  constructor(participant: Participant, memory: WebAssembly.Memory, asked: Start, server: string) {
    this.#participant = participant;
    this.#memory = memory;
    this.#audio = asked.audio;
    this.#server = server;
    this.#transport = asked.transport;
    this.#prefer = asked.prefer;
    this.#port = this.#ticketPort = Number(new URL(`https://${addressOf(asked.ticket)}`).port || 443);
    this.#audio.onmessage = ({ data }: MessageEvent<Float32Array>) => this.#speak(data);
  }

  take(asked: ToWorker): void {
    const { type } = asked;
    if (type === "networkChanged") {
      this.#reconnect();
    } else if (type === "capture") {
      this.#capture(asked).then(() => this.#answer(asked.id, null), (error: unknown) => this.#refuse(asked.id, error));
    } else if (type === "statistics") {
      const figures = JSON.parse(this.#participant.statistics()) as object;
      const unsent = this.#unsent + (this.#carriage?.unsent ?? 0);
      this.#answer(asked.id, { ...figures, carriage: this.#carriage?.name ?? null, datagramsUnsent: unsent });
    } else if (type === "command" || type === "message") {
      try {
        const request = type === "command"
          ? this.#participant.command(clock(), JSON.stringify(asked.command))
          : this.#participant.sendMessage(asked.to, asked.topic, asked.body, asked.reliable);
        if (request === undefined) this.#answer(asked.id, null);
        else this.#requests.set(request, asked.id);
      } catch (error) {
        this.#refuse(asked.id, error);
      }
      this.#pump();
    }
  }

  /** Connects, at first: what fails is told, as the page waits for it. */
  async connect(): Promise<void> {
    const attempt = ++this.#attempt;
    const ways = await waysOf(this.#server);
    const receiver = {
      datagram: (datagram: Uint8Array) => this.#receive(datagram),
      closed: () => { if (attempt === this.#attempt) this.#reconnect(); },
    };
    const carriage = await open(this.#server, ways, this.#port, this.#transport, this.#prefer, receiver);
    if (attempt !== this.#attempt || this.#isClosed) return carriage.close();
    this.#drop();
    this.#carriage = carriage;
    this.#prefer = carriage.name;
    tell({ type: "carriage", carriage: carriage.name });
    this.#participant.networkChanged(clock());
    this.#pump();
  }

  /** Connects anew, until it succeeds. */
  #reconnect(pause = 0): void {
    if (this.#isClosed) return;
    const attempt = ++this.#attempt;
    this.#drop();
    setTimeout(() => {
      if (attempt !== this.#attempt) return;
      this.connect().catch(() => {
        if (attempt + 1 === this.#attempt) this.#reconnect(Math.min(MAX_PAUSE, pause * 2 || FIRST_PAUSE));
      });
    }, pause);
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
    if (events.length || messages.length) tell({ type: "events", events, messages, state: participant.state() });
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
      const id = this.#requests.get(event.request);
      this.#requests.delete(event.request);
      if (id !== undefined) {
        if (event.error) tell({ type: "answer", id, error: event.error });
        else this.#answer(id, event.affected);
      }
      return true;
    }
    if (event.type === "redirected") {
      const [address] = event.addresses;
      this.#port = event.port ?? Number(address?.split(":").at(-1) ?? this.#ticketPort);
      this.#reconnect();
      return true;
    }
    if (event.type === "redirectEnded") {
      this.#port = this.#ticketPort;
      this.#reconnect();
      return true;
    }
    // A carriage may be dead without a word, as after a change of network that the browser has not noticed.
    if (event.type === "reconnecting" && event.reason === "silence") this.#reconnect(FIRST_PAUSE);
    if (event.type === "joined") this.#levels ??= setInterval(() => this.#tellLevels(), LEVELS_MS);
    return event.type === "messageReceived";
  }

  #tellLevels(): void {
    const heard = JSON.parse(this.#participant.levels(clock())) as Record<string, number>;
    const levels = Object.fromEntries(Object.entries(heard).map(([id, level]) => [id, -level]));
    const { me } = JSON.parse(this.#participant.state()) as { me: string | null };
    if (me !== null && this.#level < 127) levels[me] = -this.#level;
    this.#level = 127;
    const isQuiet = Object.keys(levels).length === 0;
    // Once more when all are quiet.
    if (!isQuiet || !this.#isQuiet) tell({ type: "levels", levels });
    this.#isQuiet = isQuiet;
  }

  async #capture({ key, bitrate, dtx }: Extract<ToWorker, { type: "capture" }>): Promise<void> {
    this.#encoder ??= await loadEncoder(new URL("./encoder.wasm", import.meta.url));
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
    for (const id of this.#requests.values()) this.#refuse(id, new ParlourError("closed", "the room is closed: join it again"));
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
