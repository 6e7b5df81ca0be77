//! Where a participant sees its room: a terminal, or lines for a program.

use std::io::{IsTerminal as _, stdin, stdout};
use std::time::Duration;

use anyhow::bail;
use parlour_tokio::{CloseCause, CloseReason, Event, Room, RoomEvent};
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};

use super::Screen;

/// How often the meters move.
const TICK: Duration = Duration::from_millis(100);

/// What a key asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Key {
    Mute,
    Leave,
}

impl Key {
    fn of(key: KeyEvent) -> Option<Self> {
        if key.kind != KeyEventKind::Press {
            return None;
        }
        let with_control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Char('c') if with_control => Some(Self::Leave),
            KeyCode::Char('q') | KeyCode::Esc => Some(Self::Leave),
            KeyCode::Char('m' | ' ') => Some(Self::Mute),
            _ => None,
        }
    }
}

/// How loud a microphone or a loudspeaker is, in −dBov, if that is known.
type Level = Box<dyn Fn() -> Option<u8>>;

/// A terminal, which is as before when this is dropped, or the lines of a program.
pub struct Window {
    terminal: Option<DefaultTerminal>,
    screen: Screen,
    /// The stream that a key mutes.
    mic: &'static str,
    said: Level,
    heard: Level,
}

impl Window {
    /// Takes the terminal, if there is one.
    ///
    /// # Errors
    /// The terminal's.
    pub fn open(mic: &'static str, said: Level, heard: Level) -> anyhow::Result<Self> {
        let is_terminal = stdout().is_terminal() && stdin().is_terminal();
        Ok(Self {
            terminal: is_terminal.then(ratatui::try_init).transpose()?,
            screen: Screen::default(),
            mic,
            said,
            heard,
        })
    }

    /// Shows the room until it is closed or the user leaves, and with it what is `told` meanwhile.
    ///
    /// # Errors
    /// The room is closed for another reason than the end of its session, or the terminal fails.
    pub async fn show(
        &mut self,
        room: &Room,
        mut told: mpsc::UnboundedReceiver<String>,
    ) -> anyhow::Result<()> {
        let mut events = room.events();
        let mut keys = self.terminal.is_some().then(keys);
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            self.draw(room)?;
            let key = async {
                match &mut keys {
                    Some(keys) => keys.recv().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                event = events.next() => match event {
                    Some(event) => if let Some(line) = say(&event) {
                        self.tell(line);
                    },
                    None => return ended(room.closed().await),
                },
                Some(line) = told.recv() => self.tell(line),
                key = key => match key {
                    Some(Key::Mute) => self.toggle(room).await,
                    Some(Key::Leave) | None => return Ok(()),
                },
                interrupted = tokio::signal::ctrl_c() => return Ok(interrupted?),
                _ = tick.tick() => {}
            }
        }
    }

    fn tell(&mut self, line: String) {
        match self.terminal {
            Some(_) => self.screen.last = line,
            None => println!("{line}"),
        }
    }

    async fn toggle(&mut self, room: &Room) {
        let muted = !self.screen.muted;
        match room.set_muted(self.mic, muted).await {
            Ok(()) => self.screen.muted = muted,
            Err(error) => self.tell(error.to_string()),
        }
    }

    fn draw(&mut self, room: &Room) -> anyhow::Result<()> {
        let Some(terminal) = &mut self.terminal else {
            return Ok(());
        };
        self.screen.look(room);
        self.screen.said = (self.said)();
        self.screen.heard = (self.heard)();
        terminal.draw(|frame| self.screen.draw(frame))?;
        Ok(())
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        if self.terminal.is_some() {
            ratatui::restore();
        }
    }
}

impl std::fmt::Debug for Window {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Window")
            .field("screen", &self.screen)
            .finish_non_exhaustive()
    }
}

/// The keys that are pressed from now on. The thread ends with the program.
fn keys() -> mpsc::UnboundedReceiver<Key> {
    let (press, pressed) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        while let Ok(event) = event::read() {
            let key = event.as_key_press_event().and_then(Key::of);
            if key.is_some_and(|key| press.send(key).is_err()) {
                return;
            }
        }
    });
    pressed
}

fn say(event: &Event) -> Option<String> {
    let Event::Room(event) = event else {
        return None;
    };
    Some(match event {
        RoomEvent::ParticipantJoined { participant, .. } => format!("{participant} is here"),
        RoomEvent::ParticipantLeft { participant, .. } => format!("{participant} left"),
        RoomEvent::SpeakerChanged(Some(participant)) => format!("{participant} speaks"),
        _ => return None,
    })
}

fn ended(cause: CloseCause) -> anyhow::Result<()> {
    match cause {
        CloseCause::Closed(CloseReason::Left | CloseReason::SessionEnded) => Ok(()),
        cause => bail!("{cause}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_mute_and_leave() {
        let press = |code| Key::of(KeyEvent::new(code, KeyModifiers::NONE));
        assert_eq!(press(KeyCode::Char('m')), Some(Key::Mute));
        assert_eq!(press(KeyCode::Char(' ')), Some(Key::Mute));
        assert_eq!(press(KeyCode::Char('q')), Some(Key::Leave));
        assert_eq!(press(KeyCode::Esc), Some(Key::Leave));
        assert_eq!(press(KeyCode::Char('c')), None);
        let interrupt = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        assert_eq!(Key::of(interrupt), Some(Key::Leave));
        let released = KeyEvent::new_with_kind(
            KeyCode::Char('m'),
            KeyModifiers::NONE,
            KeyEventKind::Release,
        );
        assert_eq!(Key::of(released), None);
    }
}
