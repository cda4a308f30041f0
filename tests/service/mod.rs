//! The service without a server around it: what is decided about clients' requests, turn by turn.

mod answers;
mod holders;
mod logins;
mod outputs;
mod presence;
mod sessions;
mod starts;
mod times;
mod unauthenticated;
mod work;
mod world;
