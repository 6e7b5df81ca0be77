//! A server in a process of its own, which can be killed.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::{device_ticket, serve_at, ticket};

/// The variable that gives the process its task.
const ADDRESS: &str = "PARLOUR_TEST_SERVER_ADDRESS";
const DIRECTORY: &str = "PARLOUR_TEST_SERVER_DIRECTORY";

pub(crate) struct ServerProcess {
    process: Child,
    pub(crate) address: String,
    /// The tickets of the two.
    pub(crate) desktop: String,
    pub(crate) device: String,
}

impl ServerProcess {
    /// Starts it, at `address` and with its key in `directory`.
    pub(crate) fn start(address: &str, directory: &Path) -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "process::serve_until_killed",
                "--ignored",
                "--nocapture",
            ])
            .env(ADDRESS, address)
            .env(DIRECTORY, directory)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut said = lines.map_while(Result::ok);
        let mut value = |name: &str| {
            let found =
                said.find_map(|line| line.split_once(name).map(|(_, value)| value.to_owned()));
            found.expect("the server starts")
        };
        Self {
            address: value("address="),
            desktop: value("desktop="),
            device: value("device="),
            process,
        }
    }

    /// Kills it: nobody is told.
    pub(crate) fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        // An error means that it was killed already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Not a test, but the program that [`ServerProcess`] runs.
#[test]
#[ignore = "runs for ever: a process for another test"]
fn serve_until_killed() {
    let (Ok(address), Ok(directory)) = (std::env::var(ADDRESS), std::env::var(DIRECTORY)) else {
        return;
    };
    let server = serve_at(&address, Path::new(&directory));
    let address = server.addresses()[0];
    println!("\naddress={address}");
    println!("desktop={}", ticket(&server, "desktop"));
    println!("device={}", device_ticket(&server, address));
    loop {
        std::thread::park();
    }
}
