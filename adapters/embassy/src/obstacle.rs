//! What stands between a device and its server, where a join gets no answer: a name server that lies, or a network that
//! shows a page to log in and lets nothing else through.

use core::fmt;

use embassy_net::dns::DnsQueryType;
use embassy_net::tcp::TcpSocket;
use embassy_net::{IpEndpoint, Stack};
use embassy_time::{Duration, with_timeout};
use heapless::String;
use parlour_core::ticket::Ticket;
use thiserror::Error;

use crate::runner::{endpoint, literal, resolve};

/// A name that nobody has: [RFC 6761](https://www.rfc-editor.org/rfc/rfc6761#section-6.4) keeps it free.
const NOBODY: &str = "parlour.invalid";
/// For each of the two questions.
const PATIENCE: Duration = Duration::from_secs(5);
/// Pages are asked for there, and a network that shows one of its own does so there at least.
const HTTP: u16 = 80;
/// Bytes of a page that are looked at. Its address comes early.
const HEAD: usize = 512;
/// Bytes of a request: a name of 253, and what stands around it.
const REQUEST: usize = 320;
/// Bytes of a host that are kept.
const MAX_HOST: usize = 64;

/// Something between the device and its server; see [`Room::find_obstacle`](crate::Room::find_obstacle). Only a person
/// can remove it: the device should show it, and try on.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Obstacle {
    /// A page of the network answers in the server's place.
    #[error(
        "the network shows a log-in page{}: log in there with a browser in the same network, or use another network",
        At(host)
    )]
    LogInPage {
        /// The page's host, of which at most 64 bytes are kept; empty if the page does not say.
        host: String<MAX_HOST>,
    },
    /// The name server gives an address for a name that nobody has, so perhaps the server's is none, either.
    #[error(
        "the network's name server has addresses for names that nobody has: use another network, or its log-in page"
    )]
    LyingNameServer,
}

struct At<'a>(&'a str);

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            "" => Ok(()),
            host => write!(f, " at {host}"),
        }
    }
}

/// Looks for an obstacle between this network and the ticket's server.
pub(crate) async fn find(stack: Stack<'_>, ticket: Ticket<'_>) -> Option<Obstacle> {
    let asked = with_timeout(PATIENCE, stack.dns_query(NOBODY, DnsQueryType::A)).await;
    let lies = matches!(asked, Ok(Ok(found)) if !found.is_empty());
    let mut head = [0; HEAD];
    let read = with_timeout(PATIENCE, read_page(stack, ticket, &mut head)).await;
    let head = head.get(..read.ok().flatten().unwrap_or(0));
    let page = head.and_then(|head| judge(head, ticket.host, lies));
    let page = page.map(|host| Obstacle::LogInPage { host });
    page.or(lies.then_some(Obstacle::LyingNameServer))
}

/// Asks for a page at the address where the server should be; the number of bytes that came. `None` if nobody answers.
async fn read_page(stack: Stack<'_>, ticket: Ticket<'_>, head: &mut [u8]) -> Option<usize> {
    let address = match literal(&ticket) {
        Some(address) => address,
        None => *resolve(&stack, ticket).await.first()?,
    };
    let at = IpEndpoint::new(endpoint(address)?.addr, HTTP);
    let mut request = String::<REQUEST>::new();
    let host = ticket.host;
    let written = fmt::write(
        &mut request,
        format_args!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"),
    );
    written.ok()?;
    let (mut received, mut sent) = ([0; HEAD], [0; REQUEST]);
    let mut socket = TcpSocket::new(stack, &mut received, &mut sent);
    socket.set_timeout(Some(PATIENCE));
    socket.connect(at).await.ok()?;
    // As long as the socket's buffer, which is empty.
    socket.write(request.as_bytes()).await.ok()?;
    let mut len = 0;
    while let Some(place) = head.get_mut(len..).filter(|place| !place.is_empty()) {
        match socket.read(place).await {
            Ok(read) if read > 0 => len += read,
            _ => break,
        }
    }
    socket.abort();
    // Else the other end is never told.
    let _ = socket.flush().await;
    Some(len)
}

/// The host of the page with this head, if it is one of the network in place of `asked`. A server may have pages of its
/// own, and send to the same host by HTTPS. Where the name server `lies`, no page is the server's.
fn judge(head: &[u8], asked: &str, lies: bool) -> Option<String<MAX_HOST>> {
    let mut lines = head.split(|byte| *byte == b'\n');
    let status = status(lines.next()?)?;
    let headers = lines.take_while(|line| !matches!(line, [] | [b'\r']));
    let host = headers.into_iter().find_map(location).map(host_of);
    let elsewhere = host.filter(|host| !host.eq_ignore_ascii_case(asked.as_bytes()));
    let is_of_network = match status {
        // RFC 6585: network authentication required.
        511 => true,
        300..=399 => lies || elsewhere.is_some_and(|host| !host.is_empty()),
        _ => lies,
    };
    is_of_network.then(|| printable(elsewhere.unwrap_or_default()))
}

/// The number in a line such as `HTTP/1.1 302 Found`.
fn status(line: &[u8]) -> Option<u16> {
    let rest = line.strip_prefix(b"HTTP/1.")?;
    let [_, b' ', digits @ ..] = rest else {
        return None;
    };
    let digits = core::str::from_utf8(digits.get(..3)?).ok()?;
    digits.parse().ok()
}

/// The value in a line such as `Location: http://example.org/`.
fn location(line: &[u8]) -> Option<&[u8]> {
    const NAME: &[u8] = b"location:";
    let (name, value) = line.split_at_checked(NAME.len())?;
    name.eq_ignore_ascii_case(NAME).then(|| value.trim_ascii())
}

/// The host of an address; empty if the address is of the same host.
fn host_of(location: &[u8]) -> &[u8] {
    let schemes: [&[u8]; 3] = [b"http://", b"https://", b"//"];
    let rest = schemes.iter().find_map(|scheme| {
        let (start, rest) = location.split_at_checked(scheme.len())?;
        start.eq_ignore_ascii_case(scheme).then_some(rest)
    });
    let end = |byte: &u8| matches!(byte, b'/' | b'?' | b'#' | b':');
    rest.and_then(|rest| rest.split(end).next())
        .unwrap_or_default()
}

/// Without what a terminal would obey.
fn printable(bytes: &[u8]) -> String<MAX_HOST> {
    let mut text = String::new();
    for byte in bytes {
        let shown = if byte.is_ascii_graphic() { *byte } else { b'?' };
        if text.push(shown.into()).is_err() {
            break;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::string::ToString as _;
    use std::vec::Vec;

    use super::*;

    const PORTAL: &[u8] =
        b"HTTP/1.1 302 Found\r\nServer: x\r\nLOCATION:  http://login.cafe.test:8080/?a=b\r\n\r\n";

    fn judged(head: &[u8], lies: bool) -> Option<std::string::String> {
        judge(head, "rooms.test", lies).map(|host| host.to_string())
    }

    #[test]
    fn a_page_of_the_network_is_told_from_the_servers_own() {
        for (head, honest, lying) in [
            (PORTAL, Some("login.cafe.test"), Some("login.cafe.test")),
            (
                b"HTTP/1.0 511 Network Authentication Required\r\n\r\n",
                Some(""),
                Some(""),
            ),
            (
                b"HTTP/1.1 307 x\nLocation: //login\n\n",
                Some("login"),
                Some("login"),
            ),
            // A server with a page of its own.
            (
                b"HTTP/1.1 301 x\r\nLocation: https://Rooms.test/x\r\n\r\n",
                None,
                Some(""),
            ),
            (
                b"HTTP/1.1 302 x\r\nLocation: /rooms\r\n\r\n",
                None,
                Some(""),
            ),
            (
                b"HTTP/1.1 200 OK\r\n\r\nLocation: http://body.test/",
                None,
                Some(""),
            ),
            (b"HTTP/1.1 404 Not Found\r\n\r\n", None, Some("")),
            // No page.
            (b"", None, None),
            (b"SSH-2.0-OpenSSH_9.2\r\n", None, None),
            (b"HTTP/1.1 30", None, None),
            (b"HTTP/1.1 3x2 Found\r\n\r\n", None, None),
        ] {
            let text = head.escape_ascii();
            assert_eq!(judged(head, false).as_deref(), honest, "{text}");
            assert_eq!(judged(head, true).as_deref(), lying, "{text}");
        }
    }

    #[test]
    fn what_is_printed_is_short_and_has_no_control_characters() {
        for place in 0..PORTAL.len() {
            for byte in 0..=255 {
                let mut head = Vec::from(PORTAL);
                head[place] = byte;
                for head in [&head[..], &head[..place]] {
                    for host in [judged(head, false), judged(head, true)] {
                        let host = host.unwrap_or_default();
                        assert!(host.bytes().all(|byte| byte.is_ascii_graphic()), "{host:?}");
                    }
                }
            }
        }
        let long = [
            &b"HTTP/1.1 302 x\r\nLocation: http://"[..],
            &b"x".repeat(1_000),
        ]
        .concat();
        assert_eq!(judged(&long, false), Some("x".repeat(MAX_HOST)));
    }

    #[test]
    fn an_obstacle_says_what_to_do() {
        let page = |host: &str| Obstacle::LogInPage {
            host: String::try_from(host).unwrap(),
        };
        assert_eq!(
            page("login.test").to_string(),
            "the network shows a log-in page at login.test: log in there with a browser in the same network, or use \
             another network"
        );
        assert!(
            page("")
                .to_string()
                .starts_with("the network shows a log-in page: ")
        );
    }
}
