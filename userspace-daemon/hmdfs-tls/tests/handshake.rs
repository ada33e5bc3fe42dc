// SPDX-License-Identifier: MIT OR Apache-2.0

//! Two devices shake hands over a real connection.

#![allow(clippy::unwrap_used)]

use std::collections::HashSet;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use hmdfs_tls::{Answer, DeviceId, Handshake, HandshakeError, Identity, Session, Step};

fn connection() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (near, listener.accept().unwrap().0)
}

fn pins(devices: &[DeviceId]) -> Arc<HashSet<DeviceId>> {
    Arc::new(devices.iter().copied().collect())
}

fn drive(
    mut handshake: Handshake,
    socket: &mut TcpStream,
    answer: Answer,
) -> Result<Session, HandshakeError> {
    loop {
        match handshake.step()? {
            Step::Send(bytes) => socket
                .write_all(&bytes)
                .map_err(|_| HandshakeError::Closed)?,
            Step::Receive(most) => {
                let mut buffer = vec![0; most];
                let count = socket.read(&mut buffer).unwrap_or(0);
                handshake.received(&buffer[..count]);
            }
            Step::Decide(_) => handshake.answer(answer),
            Step::Done => return handshake.finish(),
        }
    }
}

type Outcome = Result<Session, HandshakeError>;

fn meet(
    initiator: Handshake,
    acceptor: Handshake,
    answer: Answer,
) -> ((Outcome, TcpStream), (Outcome, TcpStream)) {
    let (mut near, mut far) = connection();
    let other = thread::spawn(move || (drive(acceptor, &mut far, answer), far));
    let result = drive(initiator, &mut near, answer);
    if result.is_err() {
        let _ = near.shutdown(std::net::Shutdown::Both);
    }
    ((result, near), other.join().unwrap())
}

#[test]
fn both_sides_have_the_same_keys_and_nothing_left_over() {
    let (a, b) = (Identity::generate().unwrap(), Identity::generate().unwrap());
    let (mine, theirs) = meet(
        Handshake::initiate(&a, b.id()).unwrap(),
        Handshake::accept(&b, pins(&[a.id()])).unwrap(),
        Answer::Accepted,
    );
    let ((mine, mut near), (theirs, mut far)) = (mine, theirs);
    let (mine, theirs) = (mine.unwrap(), theirs.unwrap());
    assert_eq!(mine.peer, b.id());
    assert_eq!(theirs.peer, a.id());
    assert_eq!(mine.tx, theirs.rx);
    assert_eq!(mine.rx, theirs.tx);
    assert_ne!(mine.tx, mine.rx);
    // HELLO and HELLO-ACK are the record 0 of each direction.
    assert_eq!((mine.tx.sequence, mine.rx.sequence), (1, 1));
    // What is sent from here on belongs to the kernel: not an octet of it may be gone.
    for socket in [&mut near, &mut far] {
        socket.write_all(b"kernel").unwrap();
    }
    for socket in [&mut near, &mut far] {
        let mut buffer = [0; 6];
        socket.read_exact(&mut buffer).unwrap();
        assert_eq!(&buffer, b"kernel");
        socket.set_nonblocking(true).unwrap();
        assert!(
            socket.read(&mut buffer).is_err(),
            "octets are left in the socket"
        );
    }
}

/// The acceptor's first records after the handover may arrive together with its HELLO-ACK.
#[test]
fn what_follows_the_answer_stays_in_the_socket() {
    let (a, b) = (Identity::generate().unwrap(), Identity::generate().unwrap());
    let (mut near, mut far) = connection();
    let mut acceptor = Handshake::accept(&b, pins(&[a.id()])).unwrap();
    let initiator = Handshake::initiate(&a, b.id()).unwrap();
    let other = thread::spawn(move || loop {
        match acceptor.step().unwrap() {
            Step::Send(mut bytes) => {
                if matches!(acceptor.step().unwrap(), Step::Done) {
                    bytes.extend_from_slice(b"the kernel's first record");
                }
                far.write_all(&bytes).unwrap();
            }
            Step::Receive(most) => {
                let mut buffer = vec![0; most];
                let count = far.read(&mut buffer).unwrap();
                acceptor.received(&buffer[..count]);
            }
            Step::Decide(_) => acceptor.answer(Answer::Accepted),
            Step::Done => return acceptor.finish().map(|_| far),
        }
    });
    drive(initiator, &mut near, Answer::Accepted).unwrap();
    let _far = other.join().unwrap().unwrap();
    let mut rest = [0; 25];
    near.read_exact(&mut rest).unwrap();
    assert_eq!(&rest, b"the kernel's first record");
}

#[test]
fn reading_too_much_ends_the_handshake() {
    let (a, b) = (Identity::generate().unwrap(), Identity::generate().unwrap());
    let mut handshake = Handshake::initiate(&a, b.id()).unwrap();
    assert!(matches!(handshake.step(), Ok(Step::Send(_))));
    assert_eq!(handshake.step(), Ok(Step::Receive(5)));
    handshake.received(&[22, 3, 3, 0, 90, 2]);
    assert!(matches!(handshake.step(), Err(HandshakeError::Protocol(_))));
    assert!(handshake.finish().is_err());
}

#[test]
fn an_unknown_initiator_is_refused_before_it_has_a_session() {
    let (a, b) = (Identity::generate().unwrap(), Identity::generate().unwrap());
    let stranger = Identity::generate().unwrap();
    let ((mine, _), (theirs, _)) = meet(
        Handshake::initiate(&stranger, b.id()).unwrap(),
        Handshake::accept(&b, pins(&[a.id()])).unwrap(),
        Answer::Accepted,
    );
    let text = theirs.unwrap_err().to_string();
    assert!(text.contains("not one that is allowed here"), "{text}");
    let text = mine.unwrap_err().to_string();
    assert!(text.contains("does not allow this device's key"), "{text}");
}

#[test]
fn an_impostor_as_acceptor_is_refused() {
    let (a, b) = (Identity::generate().unwrap(), Identity::generate().unwrap());
    let impostor = Identity::generate().unwrap();
    let ((mine, _), (theirs, _)) = meet(
        Handshake::initiate(&a, b.id()).unwrap(),
        Handshake::accept(&impostor, pins(&[a.id()])).unwrap(),
        Answer::Accepted,
    );
    let text = mine.unwrap_err().to_string();
    assert!(text.contains("not one that is allowed here"), "{text}");
    assert!(theirs.is_err());
}

#[test]
fn a_refusal_tells_its_reason() {
    let (a, b) = (Identity::generate().unwrap(), Identity::generate().unwrap());
    let ((mine, _), (theirs, _)) = meet(
        Handshake::initiate(&a, b.id()).unwrap(),
        Handshake::accept(&b, pins(&[a.id()])).unwrap(),
        Answer::NotMounted,
    );
    let refused = HandshakeError::Refused(Answer::NotMounted);
    assert_eq!(mine.unwrap_err(), refused);
    assert_eq!(theirs.unwrap_err(), refused);
}

#[test]
fn a_silent_end_is_an_error() {
    let (a, b) = (Identity::generate().unwrap(), Identity::generate().unwrap());
    let (mut near, far) = connection();
    drop(far);
    let result = drive(
        Handshake::initiate(&a, b.id()).unwrap(),
        &mut near,
        Answer::Accepted,
    );
    assert_eq!(result.unwrap_err(), HandshakeError::Closed);
}
