/** A microphone, a speaker or a camera. */
export interface Device {
    readonly id: string;
    /** The name for people: empty until the page has been allowed one of the kind. */
    readonly name: string;
}
/** What is plugged in. */
export interface Devices {
    readonly microphones: readonly Device[];
    /** Empty where the browser lets pages not choose. */
    readonly speakers: readonly Device[];
    readonly cameras: readonly Device[];
}
/** Lists the devices. Listen to `devicechange` of `navigator.mediaDevices` to list them anew. */
export declare function devices(): Promise<Devices>;
