use std::collections::VecDeque;
use std::fmt::Arguments;
use std::format;
use std::string::{String, ToString as _};
use std::task::Poll;
use std::vec::Vec;

use embassy_futures::{block_on, poll_once};

use super::flash::Flash;
use super::settings;
use super::store::put;
use crate::{
    Dialog, LoadError, Radio, Reason, Serial, Settings, Start, Store, Wifi, provision, start,
};

const TICKET: &str = "parlour://10.0.0.2:7900/AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8#a.b.c";

#[derive(Default)]
struct Line {
    said: VecDeque<u8>,
    answers: Vec<String>,
}

impl Serial for Line {
    async fn read(&mut self) -> u8 {
        match self.said.pop_front() {
            Some(byte) => byte,
            None => std::future::pending().await,
        }
    }

    async fn write(&mut self, line: Arguments<'_>) {
        self.answers.push(line.to_string());
    }
}

fn begin(flash: &mut Flash, radio: Radio, button: bool) -> Start {
    let end = flash.bytes.len() as u32;
    block_on(start(
        &mut Store::new(flash, 0..end).unwrap(),
        radio,
        button,
    ))
}

/// What the device says to `lines`, and the settings that it leaves with, if it does.
fn told(flash: &mut Flash, lines: &str) -> (Vec<String>, Option<Settings>) {
    let Start::Provision(reason, stored) = begin(flash, Radio::Present, false) else {
        panic!("it is provisioned")
    };
    let mut store = Store::new(&mut *flash, 0..8_192).unwrap();
    let mut dialog = Dialog::new(Radio::Present, stored);
    let mut line = Line {
        said: lines.bytes().collect(),
        ..Line::default()
    };
    let left = {
        let talk = provision(&mut store, &mut dialog, reason, &mut line);
        match poll_once(talk) {
            Poll::Ready(settings) => Some(settings),
            Poll::Pending => None,
        }
    };
    (line.answers, left)
}

#[test]
fn a_new_device_is_provisioned_and_starts_with_that() {
    let mut flash = Flash::new(2);
    let lines = format!("hello\nwifi net\nticket {TICKET}\nsave\nhello\n");
    let (answers, left) = told(&mut flash, &lines);
    assert_eq!(
        answers,
        [
            "provisioning: this device has no settings yet; send hello",
            "ok parlour-provisioning 1 wifi=missing ticket=missing",
            "ok wifi",
            "ok ticket for 10.0.0.2 port 7900",
            "ok saved",
        ]
    );
    let expected = Settings::new(Some(Wifi::new("net", None).unwrap()), TICKET).unwrap();
    assert_eq!(left, Some(expected.clone()));
    assert_eq!(
        begin(&mut flash, Radio::Present, false),
        Start::Run(expected.clone())
    );
    let again = Start::Provision(Reason::Button, Some(expected));
    assert_eq!(begin(&mut flash, Radio::Present, true), again);
}

#[test]
fn flash_that_is_worn_out_ends_nothing() {
    let mut flash = Flash::new(2);
    flash.stuck = true;
    let (answers, left) = told(
        &mut flash,
        &format!("wifi net\nticket {TICKET}\nsave\nhello\n"),
    );
    assert!(
        answers[3].starts_with("error the flash does not keep the settings"),
        "{answers:?}"
    );
    assert_eq!(answers[4], "ok parlour-provisioning 1 wifi=set ticket=set");
    assert_eq!(left, None);
}

#[test]
fn a_device_forgets() {
    let mut flash = Flash::new(2);
    let mut store = Store::new(&mut flash, 0..8_192).unwrap();
    block_on(store.save(&settings(1))).unwrap();
    let mut dialog = Dialog::new(Radio::Present, Some(settings(1)));
    let mut line = Line {
        said: b"forget\nhello\n".iter().copied().collect(),
        ..Line::default()
    };
    {
        let talk = std::pin::pin!(provision(
            &mut store,
            &mut dialog,
            Reason::Button,
            &mut line
        ));
        assert!(poll_once(talk).is_pending());
    }
    assert_eq!(
        line.answers[1..],
        [
            "ok forgotten",
            "ok parlour-provisioning 1 wifi=missing ticket=missing"
        ]
    );
    let new = Start::Provision(Reason::New, None);
    assert_eq!(begin(&mut flash, Radio::Present, false), new);
}

#[test]
fn settings_of_no_use_lead_to_the_dialog() {
    let mut flash = Flash::new(2);
    flash.unreadable = true;
    let expected = Start::Provision(Reason::Stored(LoadError::Flash), None);
    assert_eq!(begin(&mut flash, Radio::Present, false), expected);

    for (record, error, said) in [
        (
            &[7, 1, 2, 3][..],
            LoadError::Version(7),
            "provisioning: the settings in flash are of format 7, this firmware has format 1; send hello",
        ),
        (
            &[1, 1, 2, 3],
            LoadError::Damaged,
            "provisioning: the settings in flash are damaged; send hello",
        ),
    ] {
        let mut flash = Flash::new(2);
        put(&mut flash, record);
        let expected = Start::Provision(Reason::Stored(error), None);
        // As often as it starts: it waits there.
        for _ in 0..2 {
            assert_eq!(begin(&mut flash, Radio::Present, false), expected);
        }
        let (answers, left) = told(&mut flash, &format!("wifi net\nticket {TICKET}\nsave\n"));
        assert_eq!(answers[0], said);
        assert_eq!(
            begin(&mut flash, Radio::Present, false),
            Start::Run(left.unwrap())
        );
    }

    let mut flash = Flash::new(2);
    let wired = Settings::new(None, TICKET).unwrap();
    block_on(Store::new(&mut flash, 0..8_192).unwrap().save(&wired)).unwrap();
    let expected = Start::Provision(Reason::NoWifi, Some(wired.clone()));
    assert_eq!(begin(&mut flash, Radio::Present, false), expected);
    assert_eq!(begin(&mut flash, Radio::Absent, false), Start::Run(wired));
}
