//! A model server behind https, with the cargo feature `tls`: a real TLS server in front of the replay server, whose
//! certificate comes from an authority that openssl makes for the test.

use crate::bench::{World, manifest, run};
use crate::replay::Server;
use fs_err as fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Ends TLS and hands the bytes on to a plain port; prints its own port.
const FRONT: &str = r#"
import socket, ssl, sys, threading
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[1], sys.argv[2])
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
def copy(one, two):
    try:
        while block := one.recv(65536):
            two.sendall(block)
        two.shutdown(socket.SHUT_WR)
    except OSError:
        pass
def serve(raw):
    try:
        client = context.wrap_socket(raw, server_side=True)
    except OSError:
        return
    server = socket.create_connection(("127.0.0.1", int(sys.argv[3])))
    threading.Thread(target=copy, args=(client, server), daemon=True).start()
    copy(server, client)
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
"#;

struct Front {
    child: Child,
    port: String,
}

impl Front {
    /// Starts one with the certificate `NAME.pem`, before a server at `http://127.0.0.1:PORT`.
    fn start(place: &Path, name: &str, server: &Server) -> Front {
        let url = server.url();
        let port = url.rsplit(':').next().unwrap();
        let mut command = Command::new("python3");
        command.args(["-c", FRONT, &format!("{name}.pem"), &format!("{name}.key"), port]).current_dir(place);
        let mut child = command.stdout(Stdio::piped()).spawn().expect("this test needs python3");
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(!line.is_empty(), "the TLS server did not start");
        Front { child, port: line.trim().to_string() }
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Makes an authority `NAME-ca.pem` and a certificate `NAME.pem` of it for `names`.
fn certificate(place: &Path, name: &str, names: &str) {
    let openssl = |args: &str| {
        let output = Command::new("openssl").args(args.split(' ')).current_dir(place).output();
        let output = output.expect("this test needs openssl");
        assert!(output.status.success(), "openssl {args}\n{}", String::from_utf8_lossy(&output.stderr));
    };
    fs::write(place.join(format!("{name}.ext")), format!("subjectAltName={names}\n")).unwrap();
    let curve = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
    openssl(&format!("req -x509 {curve} -keyout {name}-ca.key -out {name}-ca.pem -days 2 -subj /CN={name}-ca"));
    openssl(&format!("req {curve} -keyout {name}.key -out {name}.csr -subj /CN={name}"));
    openssl(&format!(
        "x509 -req -in {name}.csr -CA {name}-ca.pem -CAkey {name}-ca.key -CAcreateserial -out {name}.pem -days 2 \
         -extfile {name}.ext"
    ));
}

/// Asks the question of a recorded scenario over https; returns the exit code and both streams.
fn ask(certificate_of: &str, names: &str, host: &str, ca_file: &str) -> (i32, String) {
    let http = manifest().join("fixtures/run/003_plain_answer_stays_home/http");
    let (world, server) = (World::new("tls"), Server::start(&http));
    certificate(&world.root, certificate_of, names);
    let front = Front::start(&world.root, certificate_of, &server);
    fs::write(world.root.join("empty.pem"), "no certificate\n").unwrap();
    world.configure(&format!(
        "providers:\n  local:\n    base_url: \"https://{host}:{}/v1\"\n    model: qwen-coder-1.5b\n    \
         auto_detect: false\n    ca_file: \"{ca_file}\"\nlocal_runtime:\n  health_retries: 0\n",
        front.port
    ));
    let mut mux = world.mux();
    mux.args(["run", "In two sentences: what does `git stash` do?"]);
    let ran = run(mux, b"");
    (ran.exit, format!("{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr)))
}

#[test]
fn an_authority_of_your_own_is_trusted_when_it_is_named() {
    for host in ["127.0.0.1", "localhost"] {
        let (exit, text) = ask("own", "IP:127.0.0.1,DNS:localhost", host, "../../own-ca.pem");
        assert!(exit == 0 && text.starts_with("route: local\n"), "{host}: exit {exit}\n{text}");
    }
}

#[test]
fn no_other_certificate_is_trusted() {
    let refused = |names: &str, ca_file: &str, why: &str| {
        let (exit, text) = ask("own", names, "127.0.0.1", ca_file);
        assert!(exit == 1 && text.contains("reason: local_down") && text.contains(why), "exit {exit}\n{text}");
    };
    // Unknown authority, another name, a file without certificates, no file.
    refused("IP:127.0.0.1", "", "invalid peer certificate: UnknownIssuer");
    refused("IP:127.0.0.2,DNS:gpu-box", "../../own-ca.pem", "invalid peer certificate: certificate not valid for name");
    refused("IP:127.0.0.1", "../../empty.pem", "no certificate in it");
    refused("IP:127.0.0.1", "../../none.pem", "cannot use `ca_file`");
}
