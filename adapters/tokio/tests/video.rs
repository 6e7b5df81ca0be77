//! Cameras and their watchers over real UDP on this machine.

mod common;

use common::*;
use parlour_tokio::core::room::StreamKey;
use parlour_tokio::core::signal::{Refusal, StreamRef};
use parlour_tokio::core::video::{Picture, SendPictureError};
use parlour_tokio::{
    Codec, RequestError, Room, VideoOptions, VideoReader, VideoWriter, WritePictureError,
};

fn camera() -> StreamRef {
    StreamRef {
        participant: id("anna"),
        key: StreamKey::new("camera").unwrap(),
    }
}

/// A JPEG file of about `len` bytes that shows a number.
fn jpeg(number: u32, len: usize) -> Vec<u8> {
    let mut bytes = vec![0xFF, 0xD8];
    bytes.extend(number.to_be_bytes());
    bytes.resize(len, 7);
    bytes.extend([0xFF, 0xD9]);
    bytes
}

fn number(bytes: &[u8]) -> u32 {
    u32::from_be_bytes(bytes[2..6].try_into().unwrap())
}

fn write(camera: &mut VideoWriter, number: u32, len: usize) -> Result<(), WritePictureError> {
    camera.write(&Picture {
        bytes: &jpeg(number, len),
        timestamp: number.wrapping_mul(9_000),
        discardable: true,
        temporal_layer: 0,
        layer: 0,
    })
}

async fn film(room: &Room) -> VideoWriter {
    let options = VideoOptions::camera(Codec::Jpeg).bits_per_second(50_000_000);
    within(room.publish_video("camera", options)).await.unwrap()
}

async fn next(reader: &mut VideoReader) -> u32 {
    number(&within(reader.next()).await.unwrap().bytes)
}

#[tokio::test]
async fn pictures_arrive_whole_and_in_order() {
    let server = serve();
    let (anna, ben) = meet(&server).await;
    let mut written = film(&anna).await;
    let mut seen = within(ben.watch(&camera())).await.unwrap();
    for number in 0..20 {
        write(&mut written, number, 20_000).unwrap();
        let picture = within(seen.next()).await.unwrap();
        assert_eq!(picture.bytes, jpeg(number, 20_000));
        assert_eq!((picture.codec, picture.key), (Codec::Jpeg, true));
    }
    assert_eq!(seen.stream(), &camera());
    within(anna.leave()).await;
    within(ben.leave()).await;
    assert_eq!(within(seen.next()).await, None);
    let closed = write(&mut written, 20, 100);
    assert_eq!(closed, Err(WritePictureError::Closed));
}

#[tokio::test]
async fn who_watches_goes_on_when_the_stream_is_published_again() {
    let server = serve();
    let (anna, ben) = meet(&server).await;
    let mut first = film(&anna).await;
    let mut seen = within(ben.watch(&camera())).await.unwrap();
    write(&mut first, 1, 3_000).unwrap();
    assert_eq!(next(&mut seen).await, 1);
    let mut second = {
        drop(first);
        film(&anna).await
    };
    // The watcher learns of the stream by a message of its own: until then pictures are lost.
    for number in 2..100 {
        write(&mut second, number, 3_000).unwrap();
        let picture = tokio::time::timeout(std::time::Duration::from_millis(50), seen.next());
        if let Ok(picture) = picture.await {
            assert!(crate::number(&picture.unwrap().bytes) >= 2);
            return;
        }
    }
    panic!("nothing is seen of the new stream");
}

#[tokio::test]
async fn a_picture_that_is_none_and_a_stream_that_is_none_are_refused() {
    let server = serve();
    let (anna, ben) = meet(&server).await;
    let mut written = film(&anna).await;
    let refused = written.write(&Picture {
        bytes: b"no JPEG",
        timestamp: 0,
        discardable: false,
        temporal_layer: 0,
        layer: 0,
    });
    assert!(matches!(
        refused,
        Err(WritePictureError::Picture(SendPictureError::Picture(_)))
    ));
    let of_nobody = StreamRef {
        key: StreamKey::new("none").unwrap(),
        ..camera()
    };
    let refused = within(ben.watch(&of_nobody)).await.map(drop);
    assert_eq!(refused, Err(RequestError::Refused(Refusal::UnknownStream)));
}

#[tokio::test]
async fn what_is_filmed_while_muted_is_never_seen() {
    let server = serve();
    let (anna, ben) = meet(&server).await;
    let mut written = film(&anna).await;
    let mut seen = within(ben.watch(&camera())).await.unwrap();
    write(&mut written, 1, 3_000).unwrap();
    assert_eq!(next(&mut seen).await, 1);
    within(anna.set_muted("camera", true)).await.unwrap();
    let muted = write(&mut written, 2, 3_000);
    assert_eq!(muted, Err(WritePictureError::Muted));
    within(anna.set_muted("camera", false)).await.unwrap();
    write(&mut written, 3, 3_000).unwrap();
    assert_eq!(next(&mut seen).await, 3);
}

#[tokio::test]
async fn too_many_pictures_are_refused_and_a_slow_reader_misses_some() {
    let server = serve();
    let (anna, ben) = meet(&server).await;
    let mut written = film(&anna).await;
    let mut seen = within(ben.watch(&camera())).await.unwrap();
    let mut refused = 0;
    for number in 0..100 {
        match write(&mut written, number, 200_000) {
            Ok(()) => {}
            Err(WritePictureError::Picture(SendPictureError::Full)) => {
                refused += 1;
                assert!(written.is_busy());
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert!(refused >= 90, "{refused}");
    // The reader has room for 30.
    for number in 100..200 {
        while written.is_busy() {
            tokio::task::yield_now().await;
        }
        write(&mut written, number, 2_000).unwrap();
    }
    let (mut last, mut count) = (0, 0);
    while last < 199 {
        write(&mut written, 199, 2_000).ok();
        let number = next(&mut seen).await;
        assert!(number >= last, "{number} after {last}");
        (last, count) = (number, count + 1);
    }
    assert!(count < 100, "{count}: none was missed");
}
