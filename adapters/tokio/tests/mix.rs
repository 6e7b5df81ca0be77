//! Two voices in the one flow of a participant with one slot: the server mixes.

mod common;

use common::*;
use parlour_tokio::core::server::{Config, MixConfig};
use parlour_tokio::core::signal::SubscribePolicy;
use parlour_tokio::{AudioOptions, JoinOptions, Server, ServerConfig};

#[tokio::test]
async fn one_slot_is_enough_to_hear_two_at_once() {
    let server = Server::bind(ServerConfig {
        limits: Config {
            mix: Some(MixConfig::default()),
            ..Config::default()
        },
        ..config()
    })
    .unwrap();
    let (anna, ben) = meet(&server).await;
    let mut low = within(anna.publish_audio("mic", AudioOptions::opus(RATE)))
        .await
        .unwrap();
    let mut high = within(ben.publish_audio("mic", AudioOptions::pcmu(RATE)))
        .await
        .unwrap();
    let (mut a, mut b) = (Tone::new(440.0), Tone::new(1_000.0));
    let writers = &mut [(&mut low, &mut a), (&mut high, &mut b)];
    // In either codec.
    for (who, policy) in [
        ("cleo", SubscribePolicy::Mix),
        ("dan", SubscribePolicy::MixPcmu),
    ] {
        let options = JoinOptions {
            slots: 1,
            policy,
            ..JoinOptions::default()
        };
        let listener = join_by(&server, who, options).await;
        let mut heard = listener.mixed_audio(RATE).unwrap();
        sing_until_heard(writers, &mut heard, &[440.0, 1_000.0]).await;
    }
    within(server.shutdown()).await;
}
