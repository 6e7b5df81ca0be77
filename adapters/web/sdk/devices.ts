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
export async function devices(): Promise<Devices> {
  const all = await navigator.mediaDevices.enumerateDevices();
  const of = (kind: MediaDeviceKind) => all.filter((device) => device.kind === kind && device.deviceId !== "")
    .map(({ deviceId, label }) => ({ id: deviceId, name: label }));
  return {
    microphones: of("audioinput"), speakers: "setSinkId" in AudioContext.prototype ? of("audiooutput") : [], cameras: of("videoinput"),
  };
}
