//! A listening socket for both IPv6 and IPv4: the standard library leaves it to a setting of the
//! system whether one for IPv6 takes both.
#![allow(unsafe_code)]

use std::io;
use std::mem;
use std::net::TcpListener;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use super::retry;

/// Connections that wait to be accepted.
const BACKLOG: libc::c_int = 1024;

/// Listens at a port of every address of the machine, IPv6 and IPv4. An IPv4 client's address is seen
/// as `::ffff:a.b.c.d`. It does not block.
///
/// # Errors
/// Also where the system has no IPv6.
pub fn listen_dual_stack(port: u16) -> io::Result<TcpListener> {
    let kind = libc::SOCK_STREAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // SAFETY: socket takes no pointers.
    let number = retry(|| unsafe { libc::socket(libc::AF_INET6, kind, 0) })?;
    // SAFETY: the descriptor was just made, and nobody else has it.
    let socket = unsafe { OwnedFd::from_raw_fd(number) };
    set(&socket, libc::SOL_SOCKET, libc::SO_REUSEADDR, 1)?;
    set(&socket, libc::IPPROTO_IPV6, libc::IPV6_V6ONLY, 0)?;
    let address = libc::sockaddr_in6 {
        sin6_family: libc::AF_INET6 as libc::sa_family_t,
        sin6_port: port.to_be(),
        sin6_flowinfo: 0,
        sin6_addr: libc::in6_addr { s6_addr: [0; 16] },
        sin6_scope_id: 0,
    };
    let length = mem::size_of_val(&address) as libc::socklen_t;
    let place = (&raw const address).cast::<libc::sockaddr>();
    // SAFETY: pointer and length are those of one live sockaddr_in6, which is only read.
    retry(|| unsafe { libc::bind(socket.as_raw_fd(), place, length) })?;
    // SAFETY: listen takes no pointers.
    retry(|| unsafe { libc::listen(socket.as_raw_fd(), BACKLOG) })?;
    Ok(TcpListener::from(socket))
}

fn set(
    socket: &OwnedFd,
    level: libc::c_int,
    option: libc::c_int,
    value: libc::c_int,
) -> io::Result<()> {
    let length = mem::size_of_val(&value) as libc::socklen_t;
    let place = (&raw const value).cast::<libc::c_void>();
    // SAFETY: pointer and length are those of one live integer, which is only read.
    retry(|| unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, place, length) })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpStream;

    #[test]
    fn clients_of_both_kinds_reach_it() {
        let listener = match listen_dual_stack(0) {
            Ok(listener) => listener,
            Err(error) => return println!("skipped: this system has no IPv6: {error}"),
        };
        listener.set_nonblocking(false).unwrap();
        let port = listener.local_addr().unwrap().port();
        for host in ["127.0.0.1", "::1"] {
            let client = match TcpStream::connect((host, port)) {
                Ok(client) => client,
                Err(error) if host == "::1" => return println!("skipped: {host}: {error}"),
                Err(error) => panic!("{host}: {error}"),
            };
            let (_, from) = listener.accept().unwrap();
            assert_eq!(from.ip().to_canonical(), client.local_addr().unwrap().ip());
        }
    }
}
