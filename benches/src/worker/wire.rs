//! gRPC by hand: HTTP/2 over a blocking socket, one request at a time, two system calls each. No client can be faster.
//!
//! It knows what it needs to know of one server that behaves, and fails at anything else.

use crate::Result;
use std::io::{Read, Write};
use std::net::TcpStream;

/// Kinds of frames.
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const WINDOW_UPDATE: u8 = 8;
/// Flags of frames: the first means ACK in some and END_STREAM in others.
const LAST: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;
/// Of a frame and of a gRPC message.
const FRAME_HEAD: usize = 9;
const MESSAGE_HEAD: usize = 5;

pub(super) struct Wire {
    socket: TcpStream,
    authority: String,
    stream: u32,
    input: Vec<u8>,
    /// What goes out with the next request.
    output: Vec<u8>,
}

struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

impl Wire {
    pub(super) fn connect(endpoint: &str) -> Result<Self> {
        let authority = endpoint.strip_prefix("http://").ok_or("only http:// is spoken here")?;
        let socket = TcpStream::connect(authority)?;
        socket.set_nodelay(true)?;
        let output = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        let mut wire = Wire { socket, authority: authority.into(), stream: 1, input: Vec::new(), output };
        wire.frame(SETTINGS, 0, 0, &[]);
        // As much as there may be, so that the window need not be looked after.
        wire.frame(WINDOW_UPDATE, 0, 0, &(i32::MAX - 65_535).to_be_bytes());
        Ok(wire)
    }

    /// Sends a message, and gives the one that answers it.
    pub(super) fn call(&mut self, path: &str, message: &[u8]) -> Result<Vec<u8>> {
        let stream = self.stream;
        self.stream += 2;
        let headers = self.headers(path);
        self.frame(HEADERS, END_HEADERS, stream, &headers);
        let length = u32::try_from(message.len())?.to_be_bytes();
        self.frame(DATA, LAST, stream, &[&[0], &length[..], message].concat());
        self.socket.write_all(&std::mem::take(&mut self.output))?;
        let mut answer = Vec::new();
        loop {
            let frame = self.receive()?;
            match (frame.kind, frame.flags & ACK) {
                (DATA, _) if frame.stream == stream => answer.extend(frame.payload),
                (HEADERS, LAST) if frame.stream == stream => break,
                (SETTINGS, 0) => self.frame(SETTINGS, ACK, 0, &[]),
                (PING, 0) => self.frame(PING, ACK, 0, &frame.payload),
                (HEADERS | SETTINGS | PING | WINDOW_UPDATE, _) => (),
                // A server that was quick to answer may close the stream once more.
                (RESET, _) if frame.stream != stream => (),
                (kind, _) => return Err(format!("a frame of kind {kind}").into()),
            }
        }
        match answer.len() {
            0..MESSAGE_HEAD => Err(format!("{path} was refused").into()),
            _ => Ok(answer.split_off(MESSAGE_HEAD)),
        }
    }

    /// Without compression, and with nothing to be remembered.
    fn headers(&self, path: &str) -> Vec<u8> {
        // ":method: POST" and ":scheme: http" have numbers, and so have the names of the next three.
        let mut block = vec![0x83, 0x86];
        for (name, value) in [(&[0x04][..], path), (&[0x01], &self.authority), (&[0x0f, 0x10], "application/grpc")] {
            block.extend(name);
            text(&mut block, value);
        }
        block.push(0);
        text(&mut block, "te");
        text(&mut block, "trailers");
        block
    }

    fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        self.output.extend(&(payload.len() as u32).to_be_bytes()[1..]);
        self.output.extend([kind, flags]);
        self.output.extend(stream.to_be_bytes());
        self.output.extend(payload);
    }

    fn receive(&mut self) -> Result<Frame> {
        self.fill(FRAME_HEAD)?;
        let head = &self.input[..FRAME_HEAD];
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let (kind, flags) = (head[3], head[4]);
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        self.fill(FRAME_HEAD + length)?;
        let payload = self.input[FRAME_HEAD..FRAME_HEAD + length].to_vec();
        self.input.drain(..FRAME_HEAD + length);
        Ok(Frame { kind, flags, stream, payload })
    }

    fn fill(&mut self, length: usize) -> Result<()> {
        let mut part = [0; 4096];
        while self.input.len() < length {
            match self.socket.read(&mut part)? {
                0 => return Err("etcd has closed the connection".into()),
                count => self.input.extend(&part[..count]),
            }
        }
        Ok(())
    }
}

/// A short text as HPACK has it.
fn text(block: &mut Vec<u8>, text: &str) {
    assert!(text.len() < 127, "longer ones are written in another way");
    block.push(text.len() as u8);
    block.extend(text.as_bytes());
}
