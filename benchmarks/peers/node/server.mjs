// node server.mjs mercurius | mercurius-jit | yoga | apollo PORT: one GraphQL server over the store in memory.
import http from 'node:http'
import { makeContext, resolvers, typeDefs } from './data.mjs'

const [kind, port] = [process.argv[2], Number(process.argv[3])]
const host = '127.0.0.1'

const start = {
  async mercurius () {
    const { default: Fastify } = await import('fastify')
    const { default: mercurius } = await import('mercurius')
    const app = Fastify({ logger: false })
    // jit: compile an operation that was asked once before
    app.register(mercurius, { schema: typeDefs, resolvers, context: makeContext, jit: kind === 'mercurius-jit' ? 1 : 0 })
    await app.listen({ port, host })
  },

  async yoga () {
    const { createSchema, createYoga } = await import('graphql-yoga')
    const yoga = createYoga({ schema: createSchema({ typeDefs, resolvers }), context: makeContext, logging: false })
    http.createServer(yoga).listen(port, host)
  },

  async apollo () {
    const { ApolloServer } = await import('@apollo/server')
    const { startStandaloneServer } = await import('@apollo/server/standalone')
    const server = new ApolloServer({ typeDefs, resolvers })
    await startStandaloneServer(server, { context: async () => makeContext(), listen: { port, host } })
  }
}

await start[kind === 'mercurius-jit' ? 'mercurius' : kind]()
