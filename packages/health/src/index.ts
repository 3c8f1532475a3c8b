export { type HttpServer, type Registry, serveHttp } from './http';
