/** The session that somebody waited for is over, or silent: look again where the host is. */
export class SessionEnded extends Error {}
