// The store in memory, the resolvers and the dataloader of every Node peer.
import fs from 'node:fs'
import DataLoader from 'dataloader'

const folder = new URL('../', import.meta.url)
const stored = JSON.parse(fs.readFileSync(process.env.PEERS_DATA, 'utf8'))
const POSTS = stored.posts
const USERS = new Map(stored.users.map((user) => [user.id, user]))

export const typeDefs = fs.readFileSync(new URL('schema.graphql', folder), 'utf8')
export const query = fs.readFileSync(new URL('feed.graphql', folder), 'utf8')

function page (first, after) {
  const start = after ? Number(after) + 1 : 0
  const rows = POSTS.slice(start, start + first)
  return {
    edges: rows.map((node, index) => ({ cursor: String(start + index), node })),
    pageInfo: { endCursor: String(start + rows.length - 1), hasNextPage: start + first < POSTS.length }
  }
}

export const makeContext = () => ({ users: new DataLoader(async (ids) => ids.map((id) => USERS.get(id))) })

export const resolvers = {
  Query: { feed: async (_, { first, after }) => page(first, after) },
  Post: { author: (post, _, context) => context.users.load(post.authorId) },
  Comment: { author: (comment, _, context) => context.users.load(comment.authorId) }
}
