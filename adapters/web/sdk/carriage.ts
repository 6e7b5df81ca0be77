/**
 * The way of datagrams to the server: WebTransport, or WebSocket where that does not get through.
 *
 * Neither is trusted to keep, order or protect anything; the protocol does that.
 */
import { ParlourError } from "./errors.js";
import type { CarriageName, TransportChoice } from "./types.js";

/** How long WebTransport has the field for itself. */
const PATIENCE_MS = 1_500;
/** How long one of them may take to open. */
const OPENING_MS = 8_000;
/** What is late rather than lost must not pile up before a WebSocket. */
const MAX_BUFFERED = 16_384;

/** What `/.well-known/parlour` says. */
interface Told {
  readonly ws: string;
  readonly wt?: string;
  readonly wt_certificate_hashes?: readonly { readonly algorithm: string; readonly value: string }[];
  readonly workers: readonly number[];
}

/** The same, and where it was said: addresses in it are relative to that. */
export interface Ways extends Told {
  readonly from: URL;
}

/** An open way. */
export interface Carriage {
  readonly name: CarriageName;
  /** Datagrams that were dropped because too much waited. */
  readonly unsent: number;
  send(datagram: Uint8Array<ArrayBuffer>): void;
  close(): void;
}

/** What comes by a way. */
export interface Receiver {
  datagram(datagram: Uint8Array): void;
  /** It broke, or the server closed it. Not called after `close`. */
  closed(): void;
}

/** Asks the website of a server for its ways. `hint` says what to do if there is none. */
export async function waysOf(server: string, hint: string): Promise<Ways> {
  const base = new URL(server);
  if (!base.pathname.endsWith("/")) base.pathname += "/";
  const url = new URL(".well-known/parlour", base);
  let response: Response;
  try {
    response = await fetch(url, { cache: "no-store", credentials: "omit", signal: AbortSignal.timeout(OPENING_MS) });
  } catch (cause) {
    throw new ParlourError("unreachable", `${server} cannot be reached: check the network, and ${hint}`, cause);
  }
  const told: unknown = await response.json().catch(() => null);
  if (!response.ok || !isTold(told)) {
    throw new ParlourError("noServer", `${server} is no Parlour server that browsers can join: ${hint}`);
  }
  return { ...told, from: new URL(response.url) };
}

function isTold(value: unknown): value is Told {
  const told = value as Partial<Told> | null;
  return typeof told?.ws === "string" && Array.isArray(told.workers);
}

/** Where a way leads to one worker. */
function wayTo(way: string, port: number, { from }: Ways): URL {
  const url = new URL(way, from);
  url.pathname = `${url.pathname.replace(/\/$/, "")}/${port}`;
  return url;
}

/** Opens the better way that gets through to the worker with this port. */
export async function open(
  ways: Ways, port: number, transport: TransportChoice, prefer: CarriageName | null, receiver: Receiver,
): Promise<Carriage> {
  const both = transport === "auto" && ways.wt !== undefined && "WebTransport" in globalThis;
  if (transport === "webTransport" && (ways.wt === undefined || !("WebTransport" in globalThis))) {
    throw new ParlourError("notSupported", "this browser or this server has no WebTransport: use the transport `auto`");
  }
  const aborted = new AbortController();
  const tries: Promise<Carriage>[] = [];
  if (both || transport === "webTransport") tries.push(openTransport(wayTo(ways.wt ?? "", port, ways), ways, receiver, aborted.signal));
  if (transport !== "webTransport") {
    const head = both && prefer !== "webSocket" ? later(PATIENCE_MS, tries[0]) : Promise.resolve();
    tries.push(head.then(() => openSocket(wayTo(ways.ws, port, ways), receiver, aborted.signal)));
  }
  try {
    const winner = await Promise.any(tries);
    // The others close what they have opened, or are about to open.
    for (const loser of tries) loser.then((carriage) => carriage === winner || carriage.close(), () => undefined);
    return winner;
  } catch (cause) {
    const message = `no connection to ${ways.from.host}: a firewall or proxy may stop it, or the server's \`web.origins\` may lack this page's origin`;
    throw new ParlourError("unreachable", message, cause);
  } finally {
    aborted.abort();
  }
}

/** After so many ms, or as soon as `attempt` has failed; never, if it has succeeded. */
function later(ms: number, attempt: Promise<unknown> | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, ms);
    attempt?.then(
      () => { clearTimeout(timer); reject(new Error("not needed")); },
      () => { clearTimeout(timer); resolve(); },
    );
  });
}

async function openSocket(url: URL, receiver: Receiver, signal: AbortSignal): Promise<Carriage> {
  if (signal.aborted) throw new Error("not needed");
  url.protocol = url.protocol.replace("http", "ws");
  const socket = new WebSocket(url);
  socket.binaryType = "arraybuffer";
  let isOpen = false, unsent = 0;
  await new Promise<void>((resolve, reject) => {
    const failed = () => { socket.close(); reject(new Error("no WebSocket")); };
    const timer = setTimeout(failed, OPENING_MS);
    signal.addEventListener("abort", failed);
    socket.onopen = () => { clearTimeout(timer); signal.removeEventListener("abort", failed); resolve(); };
    socket.onclose = socket.onerror = () => { clearTimeout(timer); failed(); };
  });
  isOpen = true;
  socket.onclose = socket.onerror = () => {
    if (isOpen) { isOpen = false; receiver.closed(); }
  };
  socket.onmessage = ({ data }) => {
    if (isOpen && data instanceof ArrayBuffer) receiver.datagram(new Uint8Array(data));
  };
  return {
    name: "webSocket",
    get unsent() { return unsent; },
    send(datagram) {
      if (socket.readyState !== WebSocket.OPEN) return;
      if (socket.bufferedAmount > MAX_BUFFERED) unsent++;
      else socket.send(datagram);
    },
    close() { isOpen = false; socket.close(); },
  };
}

/** What the types of the DOM lack so far. */
interface Datagrams extends WebTransportDatagramDuplexStream {
  createWritable?(): WritableStream<Uint8Array>;
}

async function openTransport(url: URL, ways: Ways, receiver: Receiver, signal: AbortSignal): Promise<Carriage> {
  const hashes = ways.wt_certificate_hashes?.map(({ algorithm, value }) => ({ algorithm, value: bytesOf(value) }));
  const transport = new WebTransport(url, {
    congestionControl: "low-latency", ...(hashes && { serverCertificateHashes: hashes }),
  });
  transport.closed.catch(() => undefined);
  let isOpen = false, unsent = 0, waiting = 0;
  await new Promise<void>((resolve, reject) => {
    const failed = (error: unknown) => { transport.close(); reject(error); };
    const timer = setTimeout(() => failed(new Error("no WebTransport")), OPENING_MS);
    const aborted = () => failed(new Error("not needed"));
    signal.addEventListener("abort", aborted);
    transport.ready.then(resolve, reject).finally(() => { clearTimeout(timer); signal.removeEventListener("abort", aborted); });
  });
  isOpen = true;
  const ended = () => {
    if (isOpen) { isOpen = false; receiver.closed(); }
  };
  transport.closed.then(ended, ended);
  const take = (datagram: Uint8Array) => { if (isOpen) receiver.datagram(datagram); };
  const datagrams = transport.datagrams as Datagrams;
  // A key picture comes as many at once.
  datagrams.incomingHighWaterMark = 512;
  const writer = (datagrams.createWritable?.() ?? datagrams.writable).getWriter();
  void readAll(datagrams.readable, take).catch(ended);
  void readAll<ReadableStream<Uint8Array>>(transport.incomingUnidirectionalStreams, (stream) => {
    new Response(stream as ReadableStream<Uint8Array<ArrayBuffer>>).arrayBuffer().then((whole) => take(new Uint8Array(whole)), () => undefined);
  }).catch(ended);
  return {
    name: "webTransport",
    get unsent() { return unsent; },
    send(datagram) {
      if (!isOpen) return;
      if (datagram.length > datagrams.maxDatagramSize) return void sendStream(transport, datagram).catch(() => undefined);
      if (waiting > 64) { unsent++; return; }
      waiting++;
      writer.write(datagram).catch(() => undefined).finally(() => waiting--);
    },
    close() { isOpen = false; transport.close(); },
  };
}

/** Too long for a datagram here: a stream of its own, which holds nothing else up. */
async function sendStream(transport: WebTransport, datagram: Uint8Array): Promise<void> {
  const writer = (await transport.createUnidirectionalStream()).getWriter() as WritableStreamDefaultWriter<Uint8Array>;
  await writer.write(datagram);
  await writer.close();
}

async function readAll<T>(stream: ReadableStream<T>, take: (item: T) => void): Promise<void> {
  const reader = stream.getReader();
  for (let read; !(read = await reader.read()).done;) take(read.value);
}

function bytesOf(base64: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
}
