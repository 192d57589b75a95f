//! A proxy in front of a server, which can hold back one direction of some connections.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail like tests")]
#![allow(dead_code, reason = "not every test does everything")]

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, Shutdown, TcpListener, TcpStream},
    sync::{Arc, Condvar, Mutex},
    thread,
    time::Duration,
};

/// Direction of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    /// Direction to the server.
    Request,
    /// Direction from the server.
    Answer,
}

/// Treatment of one direction of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Holdback {
    /// Bytes pass.
    Free,
    /// Bytes pass while the gate is open.
    Gate,
    /// Bytes pass after this delay.
    Late(Duration),
}

/// A proxy.
pub(crate) struct Gate {
    /// Address of the proxy, `http://host:port`.
    pub(crate) address: String,
    open: Arc<(Mutex<bool>, Condvar)>,
}

impl Gate {
    /// Creates a closed proxy in front of the server at `server`, `http://host:port`. The first connection is free. The
    /// others bring no answer before the gate is opened. Requests always pass.
    pub(crate) fn before(server: &str) -> Self {
        let answers =
            |number, way| if number > 0 && way == Direction::Answer { Holdback::Gate } else { Holdback::Free };
        let gate = Self::with(server, answers);
        gate.close();
        gate
    }

    /// Creates an open proxy. `hold` gives the treatment of each connection, by its number counted from 0.
    pub(crate) fn with(server: &str, hold: impl Fn(usize, Direction) -> Holdback + Send + 'static) -> Self {
        let server = server.trim_start_matches("http://").to_owned();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let open = Arc::new((Mutex::new(true), Condvar::new()));
        let gate = Arc::clone(&open);
        thread::spawn(move || {
            for (number, client) in listener.incoming().enumerate() {
                let (Ok(client), Ok(server)) = (client, TcpStream::connect(&server)) else { return };
                relay(&client, &server, hold(number, Direction::Request), &gate);
                relay(&server, &client, hold(number, Direction::Answer), &gate);
            }
        });
        Self { address, open }
    }

    /// Lets everything through from now on.
    pub(crate) fn open(&self) {
        *self.open.0.lock().unwrap() = true;
        self.open.1.notify_all();
    }

    /// Holds back everything from now on.
    pub(crate) fn close(&self) {
        *self.open.0.lock().unwrap() = false;
    }
}

fn relay(from: &TcpStream, to: &TcpStream, hold: Holdback, gate: &Arc<(Mutex<bool>, Condvar)>) {
    let (mut from, mut to, gate) = (from.try_clone().unwrap(), to.try_clone().unwrap(), Arc::clone(gate));
    to.set_nodelay(true).unwrap();
    thread::spawn(move || {
        let mut bytes = vec![0; 64 * 1024];
        while let Ok(count @ 1..) = from.read(&mut bytes) {
            match hold {
                Holdback::Free => {}
                Holdback::Gate => drop(gate.1.wait_while(gate.0.lock().unwrap(), |open| !*open)),
                Holdback::Late(by) => thread::sleep(by),
            }
            if to.write_all(&bytes[..count]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Write);
    });
}
