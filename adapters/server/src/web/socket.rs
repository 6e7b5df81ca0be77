//! A participant by WebSocket: each binary message is one packet.

use std::pin::pin;

use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::response::Response;
use futures_util::stream::SplitStream;
use futures_util::{SinkExt as _, StreamExt as _};
use parlour_tokio::core::wire::MAX_DATAGRAM;
use parlour_tokio::{CarriageError, CarriageReceiver, CarriageSender};
use tokio::time::timeout;

use super::{Carriage, STALLED, Web};
use crate::counted::Counted;

/// Has a WebSocket carry a participant.
pub(crate) fn serve(
    web: Web,
    counted: Counted,
    upgrade: WebSocketUpgrade,
    carried: (CarriageSender, CarriageReceiver),
) -> Response {
    upgrade
        .max_message_size(MAX_DATAGRAM)
        .max_frame_size(MAX_DATAGRAM)
        // It is cleared before each read.
        .read_buffer_size(4 * MAX_DATAGRAM)
        // A packet is sent at once, or held back by TCP.
        .write_buffer_size(0)
        .max_write_buffer_size(4 * MAX_DATAGRAM)
        .on_upgrade(async move |socket| {
            web.spawn(Carriage::WebSocket, &counted, carry(socket, carried));
        })
}

/// Why the server ends a session.
enum End {
    /// The client is gone, or does not read.
    Gone,
    /// The client has closed it, and is owed an answer.
    Closed,
    Close(u16, &'static str),
}

async fn carry(socket: WebSocket, (sender, mut receiver): (CarriageSender, CarriageReceiver)) {
    let (mut sink, mut stream) = socket.split();
    let outgoing = async {
        while let Some(datagram) = receiver.next().await {
            let sent = timeout(STALLED, sink.send(Message::Binary(datagram))).await;
            if !matches!(sent, Ok(Ok(()))) {
                return End::Gone;
            }
        }
        End::Close(close_code::NORMAL, "the participant is gone")
    };
    let end = {
        let incoming = pin!(take_in(&mut stream, &sender));
        let outgoing = pin!(outgoing);
        tokio::select! {
            end = incoming => end,
            end = outgoing => end,
        }
    };
    // The place is another's from now on.
    drop((sender, receiver));
    let (code, reason) = match end {
        End::Gone => return,
        End::Closed => {
            let _ = timeout(STALLED, sink.flush()).await;
            return;
        }
        End::Close(code, reason) => (code, reason),
    };
    tracing::debug!(code, reason, "WebSocket closed");
    let frame = CloseFrame {
        code,
        reason: reason.into(),
    };
    let farewell = async {
        if sink.send(Message::Close(Some(frame))).await.is_ok() {
            // Until the client has closed it, too: what is on the way to it would be lost.
            while let Some(Ok(_)) = stream.next().await {}
        }
    };
    let _ = timeout(STALLED, farewell).await;
}

async fn take_in(stream: &mut SplitStream<WebSocket>, sender: &CarriageSender) -> End {
    while let Some(message) = stream.next().await {
        let datagram = match message {
            Ok(Message::Binary(datagram)) => datagram,
            Ok(Message::Ping(_) | Message::Pong(_)) => continue,
            Ok(Message::Close(_)) => return End::Closed,
            Ok(Message::Text(_)) => {
                return End::Close(close_code::UNSUPPORTED, "packets are binary messages");
            }
            Err(error) => {
                tracing::debug!(%error, "WebSocket");
                // After an error of the network, nobody hears it.
                return End::Close(close_code::SIZE, "a packet has at most 1200 bytes");
            }
        };
        match sender.send(&datagram).await {
            Ok(()) => {}
            // What the server still has to say comes by the other end.
            Err(CarriageError::Closed) => return std::future::pending().await,
            Err(_) => return End::Close(close_code::SIZE, "a packet has 1 to 1200 bytes"),
        }
    }
    End::Gone
}
