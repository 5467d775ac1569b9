// node in_process.mjs graphql-jit | graphql-js: executes the feed operation, without HTTP, as often as asked.
// Each line of the input is a count; the answer to it is one line: the JSON of the last execution.
import readline from 'node:readline'
import { buildSchema, execute, parse } from 'graphql'
import { makeContext, query, resolvers, typeDefs } from './data.mjs'

const variables = { first: 20, after: null }
const schema = buildSchema(typeDefs)
for (const [type, fields] of Object.entries(resolvers)) {
  for (const [name, resolve] of Object.entries(fields)) schema.getType(type).getFields()[name].resolve = resolve
}
const document = parse(query)

async function executor () {
  if (process.argv[2] === 'graphql-js') {
    const run = () => execute({ schema, document, variableValues: variables, contextValue: makeContext() })
    return async () => JSON.stringify(await run())
  }
  const { compileQuery } = await import('graphql-jit')
  const compiled = compileQuery(schema, document, 'Feed') // its fastest setting: JSON.stringify beats its own serialiser
  return async () => JSON.stringify(await compiled.query({}, makeContext(), variables))
}

const answer = await executor()
for await (const line of readline.createInterface({ input: process.stdin })) {
  let text = ''
  for (let left = Number(line); left > 0; left--) text = await answer()
  process.stdout.write(text + '\n')
}
