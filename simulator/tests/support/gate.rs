//! A server's answers, held back: a proxy before it whose first connection is free, and whose others bring no answer
//! before the gate is opened. Requests go through at all times.

use std::{
    io::copy,
    net::{Ipv4Addr, Shutdown, TcpListener, TcpStream},
    sync::{Arc, Condvar, Mutex},
    thread,
};

/// A proxy.
pub(crate) struct Gate {
    /// Where it is, `http://host:port`.
    pub(crate) address: String,
    open: Arc<(Mutex<bool>, Condvar)>,
}

impl Gate {
    /// Before the server at `server`, `http://host:port`; closed.
    pub(crate) fn before(server: &str) -> Self {
        let server = server.trim_start_matches("http://").to_owned();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let open = Arc::new((Mutex::new(false), Condvar::new()));
        let gate = Arc::clone(&open);
        thread::spawn(move || {
            for (number, client) in listener.incoming().enumerate() {
                let (Ok(client), Ok(server)) = (client, TcpStream::connect(&server)) else { return };
                let held = (number > 0).then(|| Arc::clone(&gate));
                relay(&client, &server, None);
                relay(&server, &client, held);
            }
        });
        Self { address, open }
    }

    /// Lets all answers through, from now on.
    pub(crate) fn open(&self) {
        *self.open.0.lock().unwrap() = true;
        self.open.1.notify_all();
    }
}

fn relay(from: &TcpStream, to: &TcpStream, held: Option<Arc<(Mutex<bool>, Condvar)>>) {
    let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
    to.set_nodelay(true).unwrap();
    thread::spawn(move || {
        if let Some(gate) = held {
            drop(gate.1.wait_while(gate.0.lock().unwrap(), |open| !*open));
        }
        let _ = copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Write);
    });
}
