import type { CarriageName, Policy, TransportChoice } from "./types.js";
/** How to join. */
export interface JoinOptions {
    /**
     * The address of the server's API, such as `https://rooms.example.org`, perhaps with a path. Give it wherever the page is not
     * served by the server itself. Without it, it is a guess: the page's own origin if the ticket is for the page's host, or if the
     * page is on `localhost`; else `https://` and the ticket's host.
     */
    server?: string;
    /** Which carriage to use. `auto` by default. */
    transport?: TransportChoice;
    /** What to hear without asking for each stream: `all` by default. */
    policy?: Policy;
    /** How many voices to hear at a time, at most and by default 32. */
    voices?: number;
    /** How long to try, in milliseconds: 15,000 by default. */
    timeout?: number;
    /** Gives a new token when the old one is about to expire. */
    refreshToken?: () => Promise<string>;
}
/** The carriage that worked, for an hour, if that is the one that is not tried first. */
export declare class Memory {
    #private;
    constructor(server: string | undefined);
    get carriage(): CarriageName | null;
    set carriage(name: CarriageName);
}
