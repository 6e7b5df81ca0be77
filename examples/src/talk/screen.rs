//! Who is in the room, and how loud it is here.

use parlour_tokio::core::room::{ConnectionState, StreamKind};
use parlour_tokio::{ParticipantId, Room};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Gauge, Paragraph};

/// What a meter shows: −60 dBov is empty, and the loudest that there is is full.
const QUIETEST: u8 = 60;

/// Somebody in the room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// The display name, or the id.
    pub name: String,
    /// The person at this keyboard.
    pub is_me: bool,
    /// The active speaker.
    pub speaks: bool,
    /// What keeps this person from being heard, if something does.
    pub note: Option<&'static str>,
}

/// All that is on the screen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Screen {
    /// In the order of their ids.
    pub people: Vec<Person>,
    /// Those who are in the room but not listed, since it is large.
    pub others: usize,
    /// How loud the microphone is, in −dBov.
    pub said: Option<u8>,
    /// How loud the loudspeaker is, in −dBov.
    pub heard: Option<u8>,
    /// Whether the microphone is muted.
    pub muted: bool,
    /// What has happened last.
    pub last: String,
}

impl Screen {
    /// Looks who is in the room.
    pub fn look(&mut self, room: &Room) {
        let me = room.me();
        let (people, count) = room.with_state(|state| {
            let speaker = state.active_speaker();
            let people = state.participants().map(|participant| {
                let mut audio = participant.streams.iter();
                let is_audible = |kind, live| kind == StreamKind::Audio && live;
                let is_heard =
                    audio.any(|stream| is_audible(stream.kind, participant.is_live(stream)));
                let note = match participant.connection {
                    ConnectionState::Reconnecting => Some("out of reach"),
                    _ if participant.censored => Some("silenced"),
                    _ if participant.streams.is_empty() => Some("listens"),
                    _ if !is_heard => Some("muted"),
                    _ => None,
                };
                person(
                    &participant.id,
                    participant.name.as_str(),
                    &me,
                    speaker,
                    note,
                )
            });
            (
                people.collect::<Vec<_>>(),
                state.participant_count() as usize,
            )
        });
        self.others = count.saturating_sub(people.len());
        self.people = people;
    }

    /// Draws all of it.
    pub fn draw(&self, frame: &mut Frame<'_>) {
        let rows = Layout::vertical([
            Constraint::Min(1),
            Constraint::Length(1),
            Constraint::Length(1),
            Constraint::Length(1),
            Constraint::Length(1),
        ]);
        let [people, said, heard, last, keys] = rows.areas(frame.area());
        frame.render_widget(Paragraph::new(self.lines(people.height)), people);
        let label = if self.muted { "muted " } else { "said  " };
        meter(frame, said, label, self.said.filter(|_| !self.muted));
        meter(frame, heard, "heard ", self.heard);
        frame.render_widget(Paragraph::new(self.last.as_str()), last);
        let mute = if self.muted { "m unmute" } else { "m mute" };
        let keys_text = format!("{mute} · q leave");
        let dim = Style::new().add_modifier(Modifier::DIM);
        frame.render_widget(Paragraph::new(Span::styled(keys_text, dim)), keys);
    }

    fn lines(&self, height: u16) -> Vec<Line<'_>> {
        let height = usize::from(height);
        let all = self.people.len() + usize::from(self.others > 0);
        let shown = if all > height {
            height.saturating_sub(1)
        } else {
            height
        };
        let listed = self.people.iter().take(shown);
        let hidden = self.people.len().saturating_sub(shown) + self.others;
        let mut lines: Vec<_> = listed.map(line).collect();
        if hidden > 0 {
            lines.push(Line::raw(format!("  and {hidden} more")));
        }
        lines
    }
}

fn person(
    id: &ParticipantId,
    name: &str,
    me: &Option<ParticipantId>,
    speaker: Option<&ParticipantId>,
    note: Option<&'static str>,
) -> Person {
    Person {
        name: if name.is_empty() { id.as_str() } else { name }.to_owned(),
        is_me: me.as_ref() == Some(id),
        speaks: speaker == Some(id),
        note,
    }
}

fn line(person: &Person) -> Line<'_> {
    let mark = if person.speaks { "● " } else { "  " };
    let style = match person.speaks {
        true => Style::new().add_modifier(Modifier::BOLD),
        false => Style::new(),
    };
    let mut spans = vec![Span::raw(mark), Span::styled(person.name.as_str(), style)];
    if person.is_me {
        spans.push(Span::raw(" (you)"));
    }
    if let Some(note) = person.note {
        let dim = Style::new().add_modifier(Modifier::DIM);
        spans.push(Span::styled(format!("  {note}"), dim));
    }
    Line::from(spans)
}

/// A bar, if there is a card to measure.
fn meter(frame: &mut Frame<'_>, area: Rect, label: &str, level: Option<u8>) {
    let [name, bar] =
        Layout::horizontal([Constraint::Length(6), Constraint::Length(40)]).areas(area);
    frame.render_widget(Paragraph::new(label), name);
    let (ratio, text) = match level {
        Some(level) => (share(level), format!("−{level} dBov")),
        None => (0.0, String::new()),
    };
    let gauge = Gauge::default().ratio(ratio).label(text);
    frame.render_widget(gauge, bar);
}

/// How much of a meter is filled.
fn share(level: u8) -> f64 {
    f64::from(QUIETEST.saturating_sub(level)) / f64::from(QUIETEST)
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::*;

    fn shown(screen: &Screen, width: u16, height: u16) -> Vec<String> {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| screen.draw(frame)).unwrap();
        let buffer = terminal.backend().buffer();
        let rows = buffer.content().chunks(usize::from(width));
        let text = rows.map(|row| row.iter().map(|cell| cell.symbol()).collect::<String>());
        text.map(|row| row.trim_end().to_owned()).collect()
    }

    fn some(name: &str) -> Person {
        Person {
            name: name.to_owned(),
            is_me: false,
            speaks: false,
            note: None,
        }
    }

    #[test]
    fn who_is_there_and_how_loud_it_is_are_shown() {
        let screen = Screen {
            people: vec![
                Person {
                    is_me: true,
                    ..some("anna")
                },
                Person {
                    speaks: true,
                    ..some("ben")
                },
                Person {
                    note: Some("muted"),
                    ..some("carol")
                },
            ],
            said: Some(30),
            heard: Some(90),
            last: "ben is here".to_owned(),
            ..Screen::default()
        };
        let rows = shown(&screen, 60, 8);
        assert_eq!(
            rows[..3],
            ["  anna (you)", "● ben", "  carol  muted"].map(str::to_owned)
        );
        assert!(
            rows[4].starts_with("said  ") && rows[4].contains("−30 dBov"),
            "{rows:?}"
        );
        assert!(rows[4].contains('█') && !rows[5].contains('█'), "{rows:?}");
        assert_eq!(rows[6], "ben is here");
        assert_eq!(rows[7], "m mute · q leave");
        let muted = Screen {
            muted: true,
            ..screen
        };
        let rows = shown(&muted, 60, 8);
        assert_eq!(rows[4], "muted");
        assert_eq!(rows[7], "m unmute · q leave");
    }

    #[test]
    fn a_large_room_and_a_small_window_are_counted() {
        let screen = Screen {
            people: (0..30).map(|n| some(&format!("p{n}"))).collect(),
            others: 12,
            ..Screen::default()
        };
        let rows = shown(&screen, 40, 10);
        assert_eq!(rows[4], "  p4");
        assert_eq!(rows[5], "  and 37 more");
        for (width, height) in [(1, 1), (3, 4), (200, 60)] {
            assert_eq!(shown(&screen, width, height).len(), usize::from(height));
        }
        let rows = shown(&screen, 40, 60);
        assert_eq!(rows[30], "  and 12 more");
    }

    #[test]
    fn names_do_not_steer_the_terminal() {
        let screen = Screen {
            people: vec![some("\u{1b}[2Jeve\r\n\u{7}")],
            ..Screen::default()
        };
        let rows = shown(&screen, 40, 6);
        assert!(
            rows.iter().all(|row| row.chars().all(|c| !c.is_control())),
            "{rows:?}"
        );
        assert!(rows[0].contains("eve"), "{rows:?}");
    }
}
