// A component with the hooks, for react.test.mjs; `window.asked` says which room.
import { StrictMode, useState } from "react";
import { createRoot } from "react-dom/client";
import { useCamera, useMicrophone, useParticipants, usePicture, useRoom } from "@parlour/web/react";

function Microphone({ room }) {
  const { on, muted, error, start, setMuted, stop } = useMicrophone(room);
  return (
    <p>
      <button id="start" onClick={() => start()}>Speak</button>
      <button id="mute" onClick={() => setMuted(!muted)}>Mute</button>
      <button id="stop" onClick={() => stop()}>Stop</button>
      <output id="microphone">{on ? (muted ? "muted" : "on") : "off"} {error?.code}</output>
    </p>
  );
}

function Camera({ room }) {
  const { on, muted, stream, error, start, setMuted, stop } = useCamera(room);
  return (
    <p>
      <button id="film" onClick={() => start()}>Film</button>
      <button id="hide" onClick={() => setMuted(!muted)}>Hide</button>
      <button id="end" onClick={() => stop()}>End</button>
      <output id="camera">{on ? (muted ? "muted" : "on") : "off"} {stream ? stream.getTracks().length : "none"} {error?.code}</output>
    </p>
  );
}

function Picture({ room, participant }) {
  return <div className="picture" ref={usePicture(room, participant, "camera")} />;
}

function Hall() {
  const { room, connection, joining, error, join, leave } = useRoom();
  const participants = useParticipants(room);
  const [isShown, show] = useState(true);
  window.room = room;
  return (
    <div>
      <button id="join" onClick={() => join(window.asked.ticket, window.asked.options)}>Join</button>
      <button id="leave" onClick={() => leave()}>Leave</button>
      <button id="toggle" onClick={() => show(!isShown)}>Toggle</button>
      <output id="state">{joining ? "joining" : connection ?? "out"} {participants.length} {error?.code}</output>
      {isShown && <Microphone room={room} />}
      <Camera room={room} />
      {isShown && participants.filter(({ isLocal, streams }) => !isLocal && streams.some(({ key }) => key === "camera"))
        .map(({ id }) => <Picture key={id} room={room} participant={id} />)}
    </div>
  );
}

createRoot(document.getElementById("app")).render(<StrictMode><Hall /></StrictMode>);
