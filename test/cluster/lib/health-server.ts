/** A gRPC health service on a port, serving while a file is there: `health-server.ts PORT FILE`. Run inside a pod by a test. */
import { existsSync } from 'node:fs';
import { Server, ServerCredentials, type sendUnaryData, type ServerUnaryCall, type UntypedServiceImplementation } from '@grpc/grpc-js';
import { type HealthCheckRequest, type HealthCheckResponse, HealthCheckResponse_ServingStatus, HealthService } from '../../../proto/gen/grpc/health.ts';

const [port, file = ''] = process.argv.slice(2);
const server = new Server();
const check = (_call: ServerUnaryCall<HealthCheckRequest, HealthCheckResponse>, answer: sendUnaryData<HealthCheckResponse>) =>
  answer(null, { status: existsSync(file) ? HealthCheckResponse_ServingStatus.SERVING : HealthCheckResponse_ServingStatus.NOT_SERVING });
server.addService(HealthService, { check } satisfies UntypedServiceImplementation);
server.bindAsync(`0.0.0.0:${port}`, ServerCredentials.createInsecure(), (error) => {
  if (error) throw error;
});
